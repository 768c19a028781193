"""Numbers among the tokens of a command line, refused before anybody is given them."""

import typing
from collections.abc import Callable
from typing import Any

from metaplastic._errors import require_number


def require_numbers(argv: list[str], hint_of: Callable[[str], Any]) -> None:
    """Raise `UsageError` for a number that is not finite or too large to count with.

    `hint_of` is the type of an option, as it is written (None: unknown). What is no number at all,
    or not of the option's type, is for the parser to refuse.
    """
    option = ""
    for token in argv:
        text = token
        if token.startswith("--"):
            option, equals, text = token.partition("=")
            if not equals:
                continue
        number = _number(text, _kinds(hint_of(option)))
        if number is not None:
            require_number(option, number)


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
