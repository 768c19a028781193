"""Ranges of a rule's numbers, checked where it is made."""

from collections.abc import Callable
from typing import Any

from .._errors import UsageError

_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "positive": (lambda value: value > 0, "it must be positive"),
    "not negative": (lambda value: value >= 0, "it must not be negative"),
    "0 to 1": (lambda value: 0 <= value <= 1, "it must be from 0 to 1"),
    "0 to below 1": (lambda value: 0 <= value < 1, "it must be at least 0 and below 1"),
    "at least 1": (lambda value: value >= 1, "it must be at least 1"),
    "at least 2": (lambda value: value >= 2, "it must be at least 2"),
}


def check_ranges(rule: Any, **ranges: str) -> None:
    """Raise `UsageError` for a field outside its range, `feedback_scale="positive"`.

    None, and arrays that meta-learning has put in the place of numbers, pass.
    """
    for name, own in ranges.items():
        value = getattr(rule, name)
        within, sentence = _RANGES[own]
        if isinstance(value, int | float) and not within(value):
            raise UsageError(f"{option(name)} {value}: {sentence}")


def check_meaning(rule: Any, where: str, names: tuple[str, ...]) -> None:
    """Raise `UsageError` for a field of these that is not its default, as it says nothing `where`:
    `with --rule.mirror, which draws no F`."""
    fields = type(rule).__dataclass_fields__
    for name in names:
        value = getattr(rule, name)
        if value is not fields[name].default and value != fields[name].default:
            raise UsageError(f"{option(name)} {value} has no meaning {where}: leave it out")


def option(name: str) -> str:
    """A field as the command line names it."""
    return f"--rule.{name.replace('_', '-')}"
