"""What the estimators of bilevel problems share: the free phase, and its lifetimes one by one."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from .._devices import lifetime_keys
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
        name = type(self).__name__.lower()
        own = require_bilevel(learner, who=name)
        arrays, rest = learned(own, where)

        def one(episode: Episode, key: Key) -> tuple[Gradient, MetaAux]:
            support, query = support_and_query(own, episode, who=name)
            free, phase_key = settled(own, support, key=key)
            gradient, quality = self.estimate(
                own, arrays, rest, free, support, query, key=phase_key
            )
            lived = Lived(BilevelLife(free, None), jnp.zeros(()), own.answer(free, query.x))
            verdict = judge(episode, lived)
            return gradient, MetaAux(verdict.loss, verdict.metric, quality)

        each, aux = jax.vmap(one)(episodes, lifetime_keys(key, count(episodes)))
        return jax.tree.map(lambda leaf: jnp.mean(leaf, 0), each), aux


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
