"""The kit for learners: lives that can be scanned, and a learner that never changes within one."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..tasks.base import AbstractTask
from . import _learner_lifetimes, _learner_moments
from ._findings import Finding, Table, run_checks
from ._learner_subject import Subject, is_learner
from ._trees import what_is

CHECKS: Table = {**_learner_moments.CHECKS, **_learner_lifetimes.CHECKS}


def check_learner(
    learner_or_builder: Any,
    *,
    task: AbstractTask | None = None,
    only: Iterable[str] | None = None,
    key: Key | None = None,
) -> list[Finding]:
    """One finding a check, for a builder `NAME(task, *, ..., key)` or a learner that it made.

    A builder is tried on small tasks until one is not refused with a `UsageError`; a learner needs
    its `task`. Raises `UsageError` for what is neither and for an unknown check.
    """
    built = is_learner(learner_or_builder)
    if not built and (isinstance(learner_or_builder, type) or not callable(learner_or_builder)):
        raise UsageError(
            f"{what_is(learner_or_builder)} is no learner: give one, or the function "
            "NAME(task, *, ..., key) that builds one"
        )
    if built and task is None:
        raise UsageError("a learner is checked on the task that it was built for: pass task=")
    subject = Subject(learner_or_builder, task, jr.key(0) if key is None else key)
    try:
        source = type(learner_or_builder) if built else inspect.unwrap(learner_or_builder)
        path = Path(inspect.getfile(getattr(source, "func", source)))
    except (TypeError, OSError):
        path = None
    return run_checks(CHECKS, subject, only=only, path=path)
