"""Parts that a command is made of (a rule, a task, a learner, …): chosen by name, their fields as
options.

A part is a dataclass already, or a function whose signature becomes one, so that an option such as
`--rule.feedback-scale 0.2` needs no second declaration.
"""

import contextlib
import dataclasses
import inspect
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from metaplastic._errors import UsageError
from metaplastic.cli import _options


def with_parts(options_type: type, parts: Mapping[str, type]) -> type:
    """`options_type` with a field for each part (`rule`, `task`, …); its fields become
    `--rule.…`."""
    import tyro

    fields = []
    for name, part_class in parts.items():
        field = dataclasses.field(kw_only=True)
        # A part with fields that have no default: they are asked for.
        with contextlib.suppress(TypeError):
            part_class()
            field = dataclasses.field(kw_only=True, default_factory=part_class)
        about = inspect.cleandoc(part_class.__doc__ or "").partition("\n\n")[0]
        fields.append((name, Annotated[part_class, tyro.conf.arg(help=about)], field))
    return dataclasses.make_dataclass(options_type.__name__, fields, bases=(options_type,))


def signature_class(function: Any, leave_out: Iterable[str]) -> type:
    """The keyword options of a function as a dataclass, with the help of its `Args:` section."""
    import docstring_parser
    import tyro

    hints = typing.get_type_hints(function, include_extras=True)
    help_of = {
        own.arg_name: own.description or ""
        for own in docstring_parser.parse(inspect.cleandoc(function.__doc__ or "")).params
    }
    fields = []
    for name, own in inspect.signature(function).parameters.items():
        if name in leave_out:
            continue
        hint = Annotated[hints[name], tyro.conf.arg(help=help_of.get(name, ""))]
        default = dataclasses.MISSING if own.default is own.empty else own.default
        fields.append((name, hint, dataclasses.field(kw_only=True, default=default)))
    made = dataclasses.make_dataclass(f"{function.__name__}_options", fields)
    made.__doc__ = inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0]
    return made


def choose_parts(argv: list[str], parts: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Take `--task NAME` and the like out of the arguments: `(names by part, the rest)`.

    A `--config` file may name them as `task.name`; the command line wins.
    """
    parts = tuple(parts)
    chosen: dict[str, str] = {}
    path = _options.config_path(argv)
    if path is not None:
        flat = _options.read_config(path)
        chosen = {p: str(flat[f"{p}.name"]) for p in parts if f"{p}.name" in flat}
    given: dict[str, str] = {}
    rest: list[str] = []
    tokens = iter(argv)
    for token in tokens:
        option, equals, value = token.partition("=")
        part = option.removeprefix("--")
        if not option.startswith("--") or part not in parts:
            rest.append(token)
            continue
        value = value if equals else next(tokens, "")
        if not value or value.startswith("-"):
            raise UsageError(f"{option} needs a name: {option} NAME")
        if part in given:
            raise UsageError(f"{option} is given twice, {given[part]} and {value}: leave one out")
        given[part] = value
    return chosen | given, rest


def fields(part: Any) -> dict[str, Any]:
    """The options of a part (a rule, a task, …) as they were given or by default."""
    return {own.name: getattr(part, own.name) for own in dataclasses.fields(part) if own.init}
