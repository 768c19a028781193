"""Numbers among the tokens of a command line, refused before anybody is given them."""

import typing
from collections.abc import Callable
from types import NoneType
from typing import Any

from metaplastic._errors import UsageError, require_number


def require_numbers(argv: list[str], hint_of: Callable[[str], Any]) -> None:
    """Raise `UsageError` for a number that is not finite or too large to count with, and for what
    is no number where an option takes a single one.

    `hint_of` is the type of an option, as it is written (None: unknown). All else that is not of
    the option's type is for the parser to refuse.
    """
    option, first = "", False
    for token in argv:
        text = token
        if token.startswith("--"):
            first = True
            option, equals, text = token.partition("=")
            if not equals:
                continue
        kinds = _kinds(hint_of(option))
        number = _number(text, kinds)
        if number is not None:
            require_number(option, number)
        elif first and kinds - {NoneType} and kinds <= {int, float, NoneType}:
            _refuse(option, text, kinds)
        first = False


def _refuse(option: str, text: str, kinds: set[Any]) -> None:
    """Raise `UsageError`, but for the word by which an option says that there is none."""
    if NoneType in kinds and text == "None":
        return
    wanted = "a number" if float in kinds else "a whole number"
    raise UsageError(f"{option} {text}: it must be {wanted}")


def _number(text: str, kinds: set[Any]) -> int | float | None:
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return None


def _kinds(hint: Any) -> set[Any]:
    """The types that a hint is made of, `tuple[float, ...] | None` for one."""
    inner = typing.get_args(hint)
    return set().union(*map(_kinds, inner)) if inner else {hint}
