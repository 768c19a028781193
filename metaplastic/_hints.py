"""Values against type hints: what a field or an option may hold, where it comes from outside."""

import functools
import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from metaplastic._errors import UsageError, nearest

T = TypeVar("T")

ANYTHING = "nothing that a file can hold"
"""What `misfit` says of a hint that it cannot judge."""
_WORDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}


def misfit(hint: Any, value: Any) -> str | None:
    """What the hint wants where the value (of JSON, or of Python) is not of it, in a few words;
    None where it is.

    Lists stand for tuples, whole numbers for floats. Numbers are finite; texts have no control
    characters.
    """
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        return misfit(inner[0], value)
    if kind is Literal:
        return None if _among(value, inner) else "one of " + ", ".join(map(str, inner))
    if kind in (Union, UnionType):
        found = [misfit(own, value) for own in inner]
        wanted = [own for own in found if own is not None]
        return None if len(wanted) < len(found) else " or ".join(dict.fromkeys(wanted))
    if kind is NoneType:
        return None if value is None else "nothing"
    if kind is tuple:
        return _misfit_list(inner, value)
    if kind not in _WORDS:
        return ANYTHING
    return None if _is(kind, value) else _WORDS[kind]


def restored(kind: type[T], record: Mapping[str, Any]) -> T:
    """A dataclass of options from what a run's config says of it.

    Raises `UsageError` for an option that there is not, or whose value is of another type.
    """
    hints, fields = get_type_hints(kind), {}
    for name, value in record.items():
        if name not in hints:
            raise UsageError(f"config.json has an unknown option {name!r}: {nearest(name, hints)}")
        wanted = misfit(hints[name], value)
        if wanted is not None:
            raise UsageError(f"config.json has {name} {value!r} where {wanted} belongs: restore it")
        fields[name] = tuple(value) if isinstance(value, list) else value
    return kind(**fields)


def check_choices(owner: Any, prefix: str) -> None:
    """Raise `UsageError` for a field that is no word of its `Literal`; `prefix`: `--rule.`.

    None passes where the hint has it.
    """
    for name, hint in _literals(type(owner)).items():
        value = getattr(owner, name)
        if misfit(hint, value) is not None:
            words = [str(word) for own in (hint, *get_args(hint)) for word in _words(own)]
            option = f"{prefix}{name.replace('_', '-')}"
            raise UsageError(f"{option} {value}: {nearest(str(value), words)}")


@functools.cache
def _literals(owner: type) -> Mapping[str, Any]:
    """The fields of a class whose hints are a `Literal`, or one and None."""
    try:
        hints = get_type_hints(owner)
    except NameError:  # a hint of somebody's own that only a type checker can resolve
        return {}
    return {name: hint for name, hint in hints.items() if is_literal(hint)}


def is_literal(hint: Any) -> bool:
    """Is the hint a list of words, perhaps with None?"""
    if get_origin(hint) in (Union, UnionType):
        inner = [own for own in get_args(hint) if own is not NoneType]
        return bool(inner) and all(map(is_literal, inner))
    return get_origin(hint) is Literal


def _words(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def _misfit_list(inner: tuple[Any, ...], value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "a list"
    if len(inner) != 2 or inner[1] is not Ellipsis:
        return ANYTHING
    wrong = [own for item in value if (own := misfit(inner[0], item)) is not None]
    return f"a list of which each is {wrong[0]}" if wrong else None


def _among(value: Any, known: tuple[Any, ...]) -> bool:
    return any(type(value) is type(own) and value == own for own in known)


def _is(kind: type, value: Any) -> bool:
    if kind is str:
        return isinstance(value, str) and value.isprintable()
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    return type(value) is kind
