"""What is meta-trained on what and how, by name: a learner, its rule, a task, an estimator.

Plain Python, so that papers, comparisons, run records and the command line all say it alike.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .. import _registry
from .._errors import UsageError, nearest, require_number
from .._types import Key

KINDS = {"learner": "learners", "rule": "rules", "task": "tasks", "estimator": "estimators"}
"""Kinds of the registry that the parts of a design are."""


@dataclass(frozen=True)
class Part:
    """A member of the registry with the values of its options; the rest are its defaults."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


class Made(NamedTuple):
    """A design as objects."""

    build: Callable[[Key], Any]
    """From a key to the learner."""
    task: Any
    """With its data."""
    estimator: Any


@dataclass(frozen=True, kw_only=True)
class Design:
    """A learner on a task under an estimator."""

    learner: Part
    task: Part
    estimator: Part = Part("unrolled")
    rule: Part | None = None
    """Of learners that are trained by a rule."""

    def make(self) -> Made:
        """Build the parts and read the task's data.

        Raises `UsageError` for an unknown name or option and for parts that do not go together,
        `DataError` where data are missing.
        """
        builder = _registry.load("learners", self.learner.name)
        task = _instance("tasks", self.task).load()
        fields = _known(builder, self.learner, "learner", leave_out=("task", "rule", "key"))
        if "rule" in inspect.signature(builder).parameters:
            if self.rule is None:
                raise UsageError(
                    f"the learner {self.learner.name} is trained by a rule: name one of "
                    "`metaplastic list rules`, as in --rule backprop"
                )
            fields["rule"] = _instance("rules", self.rule)
        elif self.rule is not None:
            raise UsageError(
                f"--rule {self.rule.name}: the learner {self.learner.name} is not trained by a "
                "rule; leave it out, or use the learner online"
            )
        estimator = _instance("estimators", self.estimator)
        return Made(lambda key: builder(task, **fields, key=key), task, estimator)

    def record(self) -> dict[str, Any]:
        """The design as JSON; names of one's own files as absolute paths."""
        parts = {"learner": self.learner, "rule": self.rule, "task": self.task}
        return {
            what: None if part is None else _part_record(what, part)
            for what, part in {**parts, "estimator": self.estimator}.items()
        }


def restore_design(record: Mapping[str, Any]) -> Design:
    """The design of a record."""
    parts: dict[str, Any] = {
        what: None if own is None else Part(own["spec"], _tuples(own["fields"]))
        for what, own in record.items()
    }
    return Design(**parts)


def display_name(what: str, part: Part) -> str:
    """A part's name without the path of a file of one's own."""
    return _registry.describe(KINDS[what], part.name).name


def _part_record(what: str, part: Part) -> dict[str, Any]:
    entry = _registry.describe(KINDS[what], part.name)
    return {"name": entry.name, "spec": entry.spec, "fields": dict(part.fields)}


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def _instance(kind: str, part: Part) -> Any:
    member = _registry.load(kind, part.name)
    return member(**_known(member, part, _registry.KINDS[kind].what))


def _known(member: Any, part: Part, what: str, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """The part's fields, all of which the member has."""
    own = [name for name in inspect.signature(member).parameters if name not in leave_out]
    for name in part.fields:
        if name not in own:
            raise UsageError(f"the {what} {part.name} has no option {name!r}: {nearest(name, own)}")
    for name, value in part.fields.items():
        require_number(f"--{what}.{name.replace('_', '-')}", value)
    return dict(part.fields)
