"""The classifier's arguments, the trainer's options and a rule: of any type until checked."""

import contextlib
import dataclasses
import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

import numpy as np

from . import _registry
from ._errors import UsageError, nearest
from ._hints import ANYTHING, is_literal, misfit
from .rules.base import AbstractRule
from .train import TrainOptions

TRAIN_OPTIONS = ("hidden", "activation", "bias", "dropout", "epochs", "batch_size", "lr")
TRAIN_OPTIONS += ("optimiser", "momentum", "weight_decay", "clip", "schedule")


def checked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's options among the parameters. Raises `UsageError` for one that cannot work."""
    hints = get_type_hints(TrainOptions)
    given = {name: parameters[name] for name in TRAIN_OPTIONS}
    given["hidden"] = widths(given["hidden"])
    with arguments():
        given = {name: _of_type(hints[name], name, value) for name, value in given.items()}
        _of_type(bool, "standardise", parameters["standardise"])
        options_of(given).check()
    return given


@contextlib.contextmanager
def arguments() -> Iterator[None]:
    """Errors within speak of arguments where the command line has options."""
    try:
        yield
    except UsageError as error:
        message = re.sub(r"--rule\.([a-z-]+)", lambda m: f"rule_options {m[1]}", str(error))
        message = re.sub(r"--([a-z-]+)", lambda m: m[1].replace("-", "_"), message)
        raise UsageError(message) from error


def _of_type(hint: Any, name: str, value: Any) -> Any:
    """The value, a NumPy scalar as Python's. Raises `UsageError` where it is not of the hint, which
    may be one that cannot be judged (an array, a function)."""
    value = value.item() if isinstance(value, np.generic) else value
    wanted = None if is_literal(hint) else misfit(hint, value)
    if wanted is not None and ANYTHING not in wanted:
        raise UsageError(f"{name}={value!r}: give {wanted}")
    return value


def options_of(given: dict[str, Any]) -> TrainOptions:
    """The options with these values, whatever they are: `check` speaks of those that are wrong."""
    options = TrainOptions(alignment=False)
    vars(options).update(given)
    return options


def widths(hidden: Any) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, hidden if np.iterable(hidden) else (hidden,)))
    except TypeError as error:
        raise UsageError(f"hidden={hidden!r}: give the widths as integers, (100,) say") from error


def rule_of(rule: Any, options: dict[str, Any] | None) -> AbstractRule:
    """The rule of a name, a class or a rule, with its fields changed by `options`."""
    options = options or {}
    if isinstance(rule, str):
        rule = _registry.load("rules", rule)
    kind = rule if isinstance(rule, type) else type(rule)
    if not issubclass(kind, AbstractRule):
        raise UsageError(f"rule={rule!r}: give a name, a path.py:Name, a rule's class or a rule")
    fields = [f.name for f in dataclasses.fields(kind) if f.init]
    for name in options:
        if name not in fields:
            raise UsageError(f"rule_options: unknown field {name!r}: {nearest(name, fields)}")
    hints = {} if not options else get_type_hints(kind)
    own = {name: _of_type(hints[name], name, value) for name, value in options.items()}
    return rule(**own) if isinstance(rule, type) else dataclasses.replace(rule, **own)
