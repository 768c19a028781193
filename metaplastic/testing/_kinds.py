"""One door to all kits: finds out what an object is, and checks it as that."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, Literal

import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..meta.base import AbstractMetaGradient
from ..models import AbstractNetwork
from ..rules.base import AbstractRule
from ..tasks.base import AbstractTask
from . import _estimator, _learner, _model, _rule, _task
from ._findings import ConformanceError, Finding, Table

Kind = Literal["rule", "model", "learner", "task", "estimator"]
"""What can be checked."""

_TABLES: dict[Kind, Table] = {
    "rule": _rule.CHECKS,
    "model": _model.CHECKS,
    "learner": _learner.CHECKS,
    "task": _task.CHECKS,
    "estimator": _estimator.CHECKS,
}
_BASES: dict[Kind, type] = {
    "rule": AbstractRule,
    "model": AbstractNetwork,
    "learner": AbstractLearner,
    "task": AbstractTask,
    "estimator": AbstractMetaGradient,
}
_SHAPES = ((6,), (12, 12, 2), (32, 32, 3))
"""Of inputs for which a function that builds a network is tried."""


def check_names(kind: Kind = "rule") -> tuple[str, ...]:
    """Names of the checks of a kind, in their order."""
    return tuple(_TABLES[kind])


def kind_of(member: Any) -> Kind:
    """What an object, a class or a function that builds one is.

    A function of `(task, *, ..., key)` builds a learner, one of `(shape, classes, *, ..., key)` a
    network. Raises `UsageError` for anything else.
    """
    own = member if isinstance(member, type) else type(member)
    for kind, base in _BASES.items():
        if issubclass(own, base):
            return kind
    if callable(member) and not isinstance(member, type):
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(member).parameters.values()
        positional = sum(p.kind in kinds and p.default is p.empty for p in parameters)
        if positional in (1, 2):
            return "learner" if positional == 1 else "model"
    name = getattr(member, "__name__", own.__name__)
    raise UsageError(
        f"{name} is neither a rule, a learner, a task, an estimator nor a network: derive it from "
        "one of their base classes, or write NAME(task, *, ..., key) for a learner and "
        "NAME(shape, classes, *, ..., key) for a network"
    )


def check_member(
    member: Any, *, only: Iterable[str] | None = None, key: Key | None = None
) -> list[Finding]:
    """The findings of the kit for what `member` is (`kind_of`).

    Raises `UsageError` for what is no member of any kind and for an unknown check.
    """
    kinds: dict[Kind, Callable[..., list[Finding]]] = {
        "rule": _rule.check_rule,
        "model": _check_network,
        "learner": _learner.check_learner,
        "task": _task.check_task,
        "estimator": _estimator.check_estimator,
    }
    return kinds[kind_of(member)](member, only=only, key=key)


def assert_conforms(
    member: Any, *, only: Iterable[str] | None = None, key: Key | None = None
) -> None:
    """Raise `ConformanceError`, with a line for each failure, unless every check passes."""
    failures = [
        f"{finding.check}: {finding.sentence}"
        for finding in check_member(member, only=only, key=key)
        if finding.status == "failed"
    ]
    if failures:
        raise ConformanceError("\n".join(failures))


def _check_network(
    model: Any, *, only: Iterable[str] | None = None, key: Key | None = None
) -> list[Finding]:
    """`check_model` of a network, or of what a function builds for the first inputs it takes."""
    key = jr.key(0) if key is None else key
    if isinstance(model, AbstractNetwork):
        return _model.check_model(model, only=only, key=key)
    if isinstance(model, type):
        raise UsageError(
            f"{model.__name__} is a class: check a network that was built, or a "
            "function NAME(shape, classes, *, ..., key) that builds one"
        )
    build = functools.partial(model, key=key)
    refusals = []
    for shape in _SHAPES:
        try:
            return _model.check_model(build(shape, 3), only=only, key=key)
        except (UsageError, ValueError, TypeError) as error:
            refusals.append(f"{list(shape)}: {error}")
    raise UsageError(f"it builds no network for any of the kit's inputs, {'; '.join(refusals)}")
