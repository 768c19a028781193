"""Finds where a meta-step went wrong: the lifetime, the moment and the array."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..learners.bilevel import AbstractBilevelLearner
from ..learners.lifetime import live
from ..learners.paths import path_name
from ..meta.base import count
from ..tasks.base import Episode
from .meta_trainer import MetaReplica, MetaTrainer


class Diagnosis(NamedTuple):
    """The first value that is not finite in a meta-step."""

    lifetime: int | None
    """Number of the lifetime within the meta-step; None where each alone is finite."""
    moment: int | None
    """Moment within the lifetime; None where the forward pass is finite throughout."""
    what: str
    """The answer, the path of an array of the fast state, or the gradient of a meta-parameter."""
    unit: str = "moment"
    """What the lifetime is made of: moments, or steps of a solver."""

    @property
    def remedy(self) -> str:
        """What to try: smaller steps of what went out of bounds."""
        phase = self.unit == "step"
        return (
            "a smaller --learner.rate or --estimator.rate" if phase else "a smaller --lr, --clip 1"
        )

    def __str__(self) -> str:
        where = "" if self.lifetime is None else f" in lifetime {self.lifetime}"
        when = "" if self.moment is None else f", {self.unit} {self.moment}"
        return f"{self.what} is not finite{where}{when}"


def diagnose(trainer: MetaTrainer, replica: MetaReplica, step: int) -> Diagnosis:
    """Live through the lifetimes of a meta-step again, one by one, and find what was not finite.

    `replica` is as it was before that meta-step (no leading axis).
    """
    episodes, key = trainer.episodes(trainer.task_at(step), replica, jnp.int32(step))
    learner = trainer.learner(replica)
    keys = jr.split(key, count(episodes))
    for lifetime in range(count(episodes)):
        episode = jax.tree.map(lambda leaf, i=lifetime: leaf[i], episodes)
        found = _forward(learner, episode, keys[lifetime])
        if found is not None:
            settles = isinstance(learner, AbstractBilevelLearner)
            return Diagnosis(lifetime, *found, unit="step" if settles else "moment")
        blamed = trainer.estimator.blame(learner, episode, key=keys[lifetime])
        if blamed is not None:
            return Diagnosis(lifetime, None, blamed, unit="step")
    for lifetime in range(count(episodes)):
        one = jax.tree.map(lambda leaf, i=lifetime: leaf[i : i + 1], episodes)
        path = _backward(trainer, learner, one, key)
        if path is not None:
            return Diagnosis(lifetime, None, f"the meta-gradient of {path}")
    path = _backward(trainer, learner, episodes, key)
    return Diagnosis(None, None, f"the meta-gradient of {path or trainer.leaves[0]}")


def _forward(learner: Any, episode: Episode, key: jax.Array) -> tuple[int | None, str] | None:
    """`(moment, what)` of the first value of the lifetime that is not finite."""
    birth_key, step_key = jr.split(key)
    names: list[str] = []

    def health(life: Any, output: jax.Array) -> jax.Array:
        leaves = [
            (path_name(path), leaf)
            for path, leaf in jax.tree.leaves_with_path(life)
            if eqx.is_inexact_array(leaf)
        ]
        names[:] = ["the answer", *(f"{name} of the fast state" for name, _ in leaves)]
        return jnp.stack([jnp.isfinite(leaf).all() for leaf in (output, *(v for _, v in leaves))])

    live_on, moments = learner.unfold(episode.stream, key=step_key)

    def step(life: Any, moment: Any) -> Any:
        life, output = live_on(life, moment)
        return life, health(life, output)

    _, fine = jax.lax.scan(step, learner.birth(key=birth_key), moments)
    bad = np.argwhere(~np.asarray(fine))
    if bad.size:
        phase = " of the free phase" if isinstance(learner, AbstractBilevelLearner) else ""
        return int(bad[0, 0]), names[int(bad[0, 1])] + phase
    if not np.isfinite(live(learner, episode, key=key).loss):
        return None, "the loss"
    return None


def _backward(trainer: MetaTrainer, learner: Any, episodes: Episode, key: Any) -> str | None:
    gradient, _ = trainer.estimator(learner, episodes, key=key, where=trainer.where)
    for path, leaf in jax.tree.leaves_with_path(gradient):
        if not bool(jnp.isfinite(leaf).all()):
            return path_name(path)
    return None
