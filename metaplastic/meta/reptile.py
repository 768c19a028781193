"""Reptile: what a lifetime starts from moves towards where lifetimes end."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .._devices import lifetime_keys
from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import judge, lifetime
from ..tasks.base import Episode
from .base import AbstractMetaGradient, Gradient, MetaAux, count, learned


class Reptile(AbstractMetaGradient):
    """The mean way back from where lifetimes end to where they start.

    g = mean over episodes of (W_start - W_end)

    Nothing is differentiated. All that it learns from is the stream: the questions at a lifetime's
    end are answered and judged, but do not enter the gradient. Arrays that no lifetime hands on
    (feedback weights, rates) get zero. Raises `UsageError` where no learned array is handed on.
    Nichol, Achiam & Schulman (2018), "On first-order meta-learning algorithms", section 4.
    """

    demands: ClassVar[str] = "inherits"

    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        start = learned(learner, where)[0]

        def one(episode: Episode, key: Key) -> tuple[Gradient, MetaAux]:
            lived = lifetime(learner, episode, key=key)
            end = learned(learner.inherit(lived.life), where)[0]
            pairs = zip(jax.tree.leaves(start), jax.tree.leaves(end), strict=True)
            if all(before is after for before, after in pairs):
                raise UsageError(
                    "reptile moves what a lifetime changes and hands on, and none of it is among "
                    "the arrays to learn: leave the initial weights unfrozen, or use unrolled"
                )
            verdict = judge(episode, lived)
            away = jax.tree.map(lambda before, after: before - after, start, end)
            return away, MetaAux(verdict.loss, verdict.metric)

        each, aux = jax.vmap(one)(episodes, lifetime_keys(key, count(episodes)))
        return jax.tree.map(lambda leaf: jnp.mean(leaf, 0), each), aux
