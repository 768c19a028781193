"""The learner under test, and the moments that several checks look at."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import live, perceive_stream
from ..rules.backprop import Backprop
from ..tasks.base import AbstractTask, Episode
from ._episodes import SMALL, first, sampled
from ._trees import compute, wide

TOLERANCE = 1e-8
"""Largest difference between what should be the same."""


class Subject:
    """A learner, or what builds one for a task, and a lifetime."""

    def __init__(self, given: Any, task: AbstractTask | None, key: Key):
        self.given, self.key = given, key
        self.tasks = SMALL if task is None else (task,)
        self.builder: Callable[..., Any] | None = None if is_learner(given) else given

    @functools.cached_property
    def _made(self) -> tuple[AbstractTask, Any]:
        """The first task that the builder does not refuse, and its learner there."""
        if self.builder is None:
            return self.tasks[0], self.given
        refusals = []
        for task in self.tasks:
            try:
                learner = build(self.builder, task, key=self.key)
                if is_learner(learner):
                    episode = first(sampled(task, key=self.key))
                    eqx.filter_eval_shape(live, wide(learner), episode, key=self.key)
            except UsageError as error:
                refusals.append(str(error))
                continue
            except Exception:  # not refused: the checks will say what is wrong
                pass
            return task, build(self.builder, task, key=self.key)
        raise UsageError(f"it is refused by every task of the kit, last: {refusals[-1]}")

    @property
    def task(self) -> AbstractTask:
        return self._made[0]

    @functools.cached_property
    def learner(self) -> Any:
        return wide(self._made[1])

    @functools.cached_property
    def episodes(self) -> Episode:
        return sampled(self.task, key=jr.fold_in(self.key, 1))

    @functools.cached_property
    def moment(self) -> tuple[Any, jax.Array, jax.Array | None]:
        """A newborn life, and the first moment as it is perceived."""
        stream = first(self.episodes).stream
        x = compute(perceive_stream, self.learner, stream.x)[0]
        y = None if stream.y is None else stream.y[0]
        return compute(lambda own: own.birth(key=self.key), self.learner), x, y

    @functools.cached_property
    def stepped(self) -> Any:
        """`(life, output)` after the first moment."""
        life, x, y = self.moment
        return compute(lambda own, *rest: own.step(*rest, key=self.key), self.learner, life, x, y)


def build(builder: Callable[..., Any], task: AbstractTask, *, key: Key) -> Any:
    """The builder's learner with its defaults, by backpropagation where it takes a rule."""
    parameters = inspect.signature(builder).parameters
    options = {}
    if "rule" in parameters and parameters["rule"].default is inspect.Parameter.empty:
        options["rule"] = Backprop()
    return builder(task, **options, key=key)


def is_learner(given: Any) -> bool:
    """Is it a learner, and not what builds one?"""
    return isinstance(given, AbstractLearner)
