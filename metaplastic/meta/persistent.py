"""Persistent evolution strategies: a meta-step after every segment of a lifetime, which goes on.

Nothing is differentiated, and what a segment owes to earlier ones is not cut off.
"""

from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._devices import share_out
from .._types import Key
from ..learners.base import AbstractLearner, Life
from ..learners.lifetime import Verdict
from ..tasks.base import Episode
from ._segments import live_segment
from .base import AbstractOngoing, Continued, Gradient, MetaAux, learned
from .evolution import Evolution, draw, perturbed


class Lives(eqx.Module):
    """Where the pairs of all lifetimes of a meta-step have come to."""

    fast: Life
    """Fast states, [lifetimes, pairs, 2, ...]: of the learner moved along the perturbation and
    against it."""
    sums: Any
    """Perturbations since birth, [lifetimes, pairs, ...]."""
    unborn: jax.Array
    """Which pairs are born in the next segment, [lifetimes, pairs]."""
    losses: jax.Array
    """Share of each segment in a lifetime's loss, as last lived, [lifetimes, segments]."""
    metrics: jax.Array
    """The same of its metric."""


class Persistent(AbstractOngoing):
    """Pairs of perturbed learners that live on, while theta moves after every `segment` moments.

    xi_i <- xi_i + e_i,  e_i ~ N(0, 1);  g = 1/(2 sigma P) sum_i (L_s^+ - L_s^-) xi_i

    Pair i lives segment s as theta + sigma e_i and as theta - sigma e_i, each from where it came to
    in the segment before; what it has been perturbed by since birth is credited with the loss. Were
    theta to stand still, the means of g over a lifetime's segments would sum to the gradient of
    its loss, where `truncated` is biased. Every episode has P = population/2 pairs of its own. The
    questions belong to the last segment, which is shorter where `segment` does not divide the
    lifetime; after it come new episodes, births and sums of zero. A pair whose loss is not finite
    is born again within its lifetime. All pairs begin their lifetimes at the same meta-step. Vicol,
    Metz & Sohl-Dickstein (2021), "Unbiased gradient estimation in unrolled computation graphs with
    persistent evolution strategies", section 4 and Algorithm 2.

    A meta-step's g is of one segment: `--clip` and `--sparsity` act once a segment, not once a
    lifetime. `MetaAux` is of a lifetime's segments as each was last lived, mean over pairs; before
    that, by the learner without perturbation.
    """

    demands: ClassVar[str] = ""

    sigma: float = eqx.field(static=True, default=0.01)
    """Standard deviation of the perturbations."""
    population: int = eqx.field(static=True, default=32)
    """Perturbed lifetimes an episode; even, since they come in pairs."""
    segment: int = eqx.field(static=True, default=10)
    """Moments between two meta-steps; from a lifetime on, this is `evolution`."""
    at_once: int | None = eqx.field(static=True, default=None)
    """Pairs of an episode computed together; all where it is not given. Fewer need less memory."""

    def __check_init__(self):
        self._of_lifetimes()  # whose options these are

    def _of_lifetimes(self) -> Evolution:
        """The same estimate, but with theta held through whole lifetimes."""
        return Evolution(self.sigma, self.population, "none", self.segment, self.at_once)

    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        return self._of_lifetimes()(learner, episodes, key=key, where=where)

    def turns(self, moments: int) -> int:
        return max(-(-moments // self.segment), 1)

    def begin(self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any) -> Lives:
        number, moments = episodes.stream.x.shape[:2]
        segment = min(self.segment, moments)

        def each(episode: Episode, key: Key) -> Verdict:
            birth_key, step_key = jr.split(key)
            live = partial(live_segment, learner)
            return jax.lax.scan(
                lambda life, index: live(life, episode, index, segment, key=step_key),
                learner.birth(key=birth_key),
                jnp.arange(self.turns(moments), dtype=jnp.int32),
            )[1]

        found = jax.vmap(each)(episodes, jr.split(key, number))
        pairs = (number, self.population // 2)
        like = draw(learned(learner, where)[0], key=key)
        return Lives(
            # Any life will do, since all are born in the first segment.
            fast=_repeated(learner.birth(key=key), (*pairs, 2)),
            sums=_repeated(jax.tree.map(jnp.zeros_like, like), pairs),
            unborn=jnp.ones(pairs, bool),
            losses=found.loss,
            metrics=found.metric,
        )

    def go_on(
        self,
        learner: AbstractLearner,
        lives: Lives,
        episodes: Episode,
        turn: jax.Array,
        *,
        key: Key,
        where: Any,
    ) -> Continued:
        arrays, rest = learned(learner, where)
        number, segments = lives.losses.shape
        noise = jr.split(jr.fold_in(key, number), number)
        segment = min(self.segment, episodes.stream.x.shape[1])

        def each(own: Any) -> tuple[Gradient, Lives]:
            lives, episode, key, noise = own
            birth_key, step_key = jr.split(key)

            def side(e: Any, unborn: jax.Array, sign: jax.Array, fast: Life) -> Any:
                own = eqx.combine(perturbed(arrays, e, sign * self.sigma), rest)
                fast = _chosen(unborn, own.birth(key=birth_key), fast)
                return live_segment(own, fast, episode, turn, segment, key=step_key)

            def pair(own: Any) -> tuple[Life, Any, Verdict]:
                noise, fast, sums, unborn = own
                # The draws of `evolution`, with `segment` or without.
                e = draw(arrays, key=noise if segments == 1 else jr.fold_in(noise, turn))
                signs = jnp.asarray([1.0, -1.0])
                fast, found = jax.vmap(partial(side, e, unborn))(signs, fast)
                sums = jax.tree.map(lambda s, e: jnp.where(unborn, e, s + e), sums, e)
                return fast, sums, found

            pairs = (jr.split(noise, self.population // 2), lives.fast, lives.sums, lives.unborn)
            many = jax.vmap(pair)
            if self.at_once is not None:
                many = partial(jax.lax.map, pair, batch_size=self.at_once)
            fast, sums, found = many(pairs)
            return self._credited(found.loss, sums), self._after(lives, fast, sums, found, turn)

        shared = (lives, episodes, jr.split(key, number), noise)
        gradients, after = share_out(jax.vmap(each), shared)
        gradient = jax.tree.map(lambda leaf, own: leaf.mean(0).astype(own.dtype), gradients, arrays)
        aux = MetaAux(after.losses.sum(1), after.metrics.sum(1))
        return Continued(gradient, aux, after)

    def _credited(self, losses: jax.Array, sums: Any) -> Gradient:
        """The estimate of one episode from losses [pairs, 2]."""
        weights = (losses[:, 0] - losses[:, 1]) / (2 * self.sigma) / losses.shape[0]
        return jax.tree.map(lambda s: jnp.tensordot(weights.astype(s.dtype), s, 1), sums)

    def _after(self, lives: Lives, fast: Life, sums: Any, found: Verdict, turn: jax.Array) -> Lives:
        """The lives of one episode, of which those that have ended are unborn again."""
        own = lives.losses[turn], lives.metrics[turn]
        loss, metric = jax.tree.map(
            lambda new, old: jnp.where(jnp.isfinite(new.mean()), new.mean(), old),
            (found.loss, found.metric),
            own,
        )
        ended = turn == lives.losses.shape[0] - 1
        return Lives(
            fast,
            sums,
            unborn=ended | ~jnp.isfinite(found.loss).all(1),
            losses=lives.losses.at[turn].set(loss),
            metrics=lives.metrics.at[turn].set(metric),
        )


def _repeated(tree: Any, shape: tuple[int, ...]) -> Any:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*shape, *jnp.shape(leaf))), tree)


def _chosen(first: jax.Array, one: Life, other: Life) -> Life:
    return jax.tree.map(partial(jnp.where, first), one, other)
