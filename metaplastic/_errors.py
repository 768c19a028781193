"""Errors that are advice: one sentence that names the culprit and the fix.

The command line prints the message alone and exits with the class's `status`.
"""

import difflib
import math
from collections.abc import Iterable


class MetaplasticError(Exception):
    """A failure of a run that its user can mend (exit status 1)."""

    status = 1


class UsageError(MetaplasticError, ValueError):
    """Wrong usage: an unknown name, an impossible option (exit status 2)."""

    status = 2


class DataError(MetaplasticError):
    """Data that is missing, damaged or unusable (exit status 1)."""


class DivergedError(MetaplasticError):
    """Training met a value that is not finite (exit status 1)."""


class MissingExtraError(MetaplasticError, ImportError):
    """An optional dependency is not installed (exit status 1)."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` where something is near, else the list of what there is."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "there is: " + ", ".join(known) if known else "there is none"


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that the registry does not hold."""
    return UsageError(f"unknown {kind} {name!r}: {nearest(name, known)}")


LARGEST = 2**31 - 1
"""Of the whole numbers that programs count with."""


def require_number(option: str, value: object) -> None:
    """Raise `UsageError` for a float that is not finite, and for a whole number too large to count.

    Of a tuple, each of its values; anything else passes.
    """
    for own in value if isinstance(value, tuple | list) else (value,):
        if isinstance(own, float) and not math.isfinite(own):
            raise UsageError(f"{option} {own:g}: it must be a finite number")
        if isinstance(own, int) and abs(own) > LARGEST:
            raise UsageError(f"{option} {own}: whole numbers go up to {LARGEST:,}")


def require_positive(option: str, value: object) -> None:
    """Raise `UsageError` for a number that is not positive and finite; a traced one passes."""
    if isinstance(value, int | float) and not 0 < value < math.inf:
        raise UsageError(f"{option} {value}: it must be positive and finite")


def require_not_negative(option: str, value: object) -> None:
    """Raise `UsageError` for a number that is negative, or not finite; a traced one passes."""
    if isinstance(value, int | float) and not 0 <= value < math.inf:
        raise UsageError(f"{option} {value}: it must not be negative or infinite")


def require_extra(module: str, extra: str) -> None:
    """Raise `MissingExtraError` unless the optional `module` can be imported."""
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(
            f"this needs {module.split('.')[0]}: pip install 'metaplastic[{extra}]'"
        )
