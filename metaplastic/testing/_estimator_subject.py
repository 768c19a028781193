"""The estimator under test, the learner that it is given, and its estimate."""

import functools
from typing import Any

import equinox as eqx
import jax.random as jr

from .. import _registry
from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.complex_synapse import complex_synapse
from ..learners.online import online
from ..rules.backprop import Backprop
from ..tasks.base import AbstractTask, Episode
from ..tasks.sinusoid import Sinusoid
from ._episodes import SMALL, sampled
from ._findings import Skipped
from ._learner_subject import build
from ._trees import compute, wide

EPISODES = 3
_GENERAL = ("", "inherits")


class Subject:
    """An estimator, or the class of one, a learner, and episodes."""

    def __init__(
        self, given: Any, learner: AbstractLearner | None, task: AbstractTask | None, key: Key
    ):
        self.given, self.key, self._learner, self._task = given, key, learner, task
        self.kind: Any = given if isinstance(given, type) else type(given)

    @functools.cached_property
    def estimator(self) -> Any:
        return self.given() if isinstance(self.given, type) else self.given

    @functools.cached_property
    def _made(self) -> tuple[Any, AbstractTask]:
        demand = self.kind.demands
        if self._learner is not None and self._task is not None:
            return wide(self._learner), self._task
        task = SMALL[0]
        if demand in _GENERAL:
            own = online(task, rule=Backprop(), hidden=(3,), rate=0.02, key=self.key)
            return wide(own), task
        if demand == "settles":
            task = Sinusoid(shots=3, queries=2)
            own = complex_synapse(
                task, rule=Backprop(), hidden=(3,), activation="tanh", strength=1.0, key=self.key
            )
            return wide(own), task
        if demand not in _registry.names("learners"):
            raise Skipped(f"it demands a learner that {demand}: pass learner= and task=")
        builder = _registry.load("learners", demand)
        for task in SMALL[1:]:  # patterns first: lifetimes judged moment by moment
            try:
                own = wide(build(builder, task, key=self.key))
                eqx.filter_eval_shape(
                    self.estimator, own, sampled(task, key=self.key), key=self.key
                )
                return own, task
            except UsageError:
                continue
        raise Skipped(f"no task of the kit suits it with the learner {demand}: pass both")

    @property
    def learner(self) -> Any:
        return self._made[0]

    @functools.cached_property
    def episodes(self) -> Episode:
        return sampled(self._made[1], key=jr.fold_in(self.key, 1), count=EPISODES)

    def call(self, **options: Any) -> Any:
        """What the estimator returns, compiled."""
        return compute(
            lambda own, episodes: self.estimator(own, episodes, key=self.key, **options),
            self.learner,
            self.episodes,
        )

    @functools.cached_property
    def result(self) -> Any:
        return self.call()
