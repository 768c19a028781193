"""What the estimators of bilevel problems share: the free phase, and its lifetimes one by one."""

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._compiling import compiled_once
from .._devices import lifetime_keys
from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.bilevel import (
    AbstractBilevelLearner,
    BilevelLife,
    Fast,
    require_bilevel,
    support_and_query,
)
from ..learners.lifetime import Lived, judge
from ..learners.solver import Batch
from ..tasks.base import Episode
from .base import AbstractMetaGradient, Gradient, MetaAux, count, learned

_MOST = 1e9
"""A ratio beyond which all are alike."""


class AbstractSettledGradient(AbstractMetaGradient):
    """A meta-gradient of lifetimes that settle: the mean of an estimate at each free phase."""

    @abc.abstractmethod
    def estimate(
        self,
        learner: AbstractBilevelLearner,
        arrays: Any,
        rest: Any,
        free: Fast,
        support: Batch,
        query: Batch,
        *,
        key: Key,
    ) -> tuple[Gradient, dict[str, jax.Array]]:
        """`(gradient, quality)` of one lifetime whose free phase ended at `free`.

        `arrays` are those of the learner that are learned, `rest` is the rest of it; `key` is that
        of the phases that follow.
        """

    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        """Raises `UsageError` for a learner whose settled phases have forgotten all that is
        learned. A lifetime whose measures are not finite has no gradient: it is NaN."""
        name = self.name
        own = require_bilevel(learner, who=name)
        if own.forgotten:
            raise UsageError(
                f"{own.forgotten}, so that settled phases depend on nothing that is learned and "
                f"{name} has no gradient: use --estimator unrolled, or change the learner"
            )
        arrays, rest = learned(own, where)

        def one(episode: Episode, key: Key) -> tuple[Gradient, MetaAux]:
            support, query, free, phase_key = free_phase(own, episode, who=name, key=key)
            gradient, quality = self.estimate(
                own, arrays, rest, free, support, query, key=phase_key
            )
            if quality:
                sound = jnp.isfinite(jnp.stack(list(quality.values()))).all()
                gradient = jax.tree.map(lambda leaf: jnp.where(sound, leaf, jnp.nan), gradient)
            lived = Lived(BilevelLife(free, None), jnp.zeros(()), own.answer(free, query.x))
            verdict = judge(episode, lived)
            return gradient, MetaAux(verdict.loss, verdict.metric, quality)

        each, aux = jax.vmap(one)(episodes, lifetime_keys(key, count(episodes)))
        return jax.tree.map(lambda leaf: jnp.mean(leaf, 0), each), aux

    def worst(
        self, measure: str, learner: AbstractLearner, episodes: Episode, *, key: Key
    ) -> str | None:
        own = require_bilevel(learner, who=self.name)

        def again(learner: AbstractBilevelLearner, episodes: Episode) -> jax.Array:
            return self(learner, episodes, key=key)[1].quality[measure]

        values = np.asarray(compiled_once(again)(own, episodes))
        if not np.isfinite(values).any():
            return None
        lifetime = int(np.nanargmax(np.where(np.isfinite(values), values, np.nan)))
        episode = jax.tree.map(lambda leaf: leaf[lifetime], episodes)
        within = self.within(measure, own, episode, key=jr.split(key, len(values))[lifetime])
        return f"lifetime {lifetime}" + (f", {within}" if within else "")

    def within(
        self, measure: str, learner: AbstractBilevelLearner, episode: Episode, *, key: Key
    ) -> str | None:
        """The phase of a lifetime where a measure is worst, and the step where that means
        something."""
        del learner, episode, key
        return "the free phase" if measure == "free_stationarity" else None

    @property
    def name(self) -> str:
        """On the command line."""
        return type(self).__name__.lower()


class FreePhase(NamedTuple):
    """What the estimate of a lifetime begins with."""

    support: Batch
    query: Batch
    free: Fast
    """phi at its end."""
    key: Key
    """Of the phases that follow."""


def free_phase(
    learner: AbstractBilevelLearner, episode: Episode, *, who: str, key: Key
) -> FreePhase:
    """Live through the free phase of a lifetime."""
    support, query = support_and_query(learner, episode, who=who)
    return FreePhase(support, query, *settled(learner, support, key=key))


def settled(learner: AbstractBilevelLearner, support: Batch, *, key: Key) -> tuple[Fast, Key]:
    """`(phi_0, key of the phases that follow)`: the free phase, as `lifetime` lives it."""
    birth_key, step_key = jr.split(key)
    moment_key = jr.fold_in(step_key, 0)
    free = learner.settle(learner.start(key=birth_key), support, key=moment_key)
    return jax.lax.stop_gradient(free), jr.fold_in(step_key, 1)


def norm(tree: Any) -> jax.Array:
    """Euclidean norm of all arrays of a tree together."""
    squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(jnp.stack(squares).sum())


def over(size: jax.Array, unit: jax.Array) -> jax.Array:
    """A size in a unit that may be zero: at most a thousand million, NaN for a size that is not
    finite."""
    ratio = jnp.minimum(size / jnp.maximum(unit, jnp.finfo(unit.dtype).tiny), _MOST)
    return jnp.where(jnp.isfinite(size), ratio, jnp.nan)
