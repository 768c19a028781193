"""Evolution strategies: a gradient from the losses of perturbed learners, in antithetic pairs.

Nothing is differentiated, so that learners with thresholds or spikes can be improved too.
"""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._devices import in_all, lifetime_keys
from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import live
from ..tasks.base import Episode
from ._segments import segmented_losses
from .base import AbstractMetaGradient, Gradient, MetaAux, count, learned


class Evolution(AbstractMetaGradient):
    """Losses of perturbed learners, each pair with opposite perturbations and the same lifetime.

    g = 1/(2 sigma P) sum_i (L(theta + sigma e_i) - L(theta - sigma e_i)) e_i,  e_i ~ N(0, 1)

    Its mean is the gradient of E L(theta + sigma e), exactly that of L where L is quadratic; its
    standard error falls as 1/sqrt(P). Every episode has P = population/2 pairs of its own. Salimans
    et al. (2017), "Evolution strategies as a scalable alternative to reinforcement learning",
    section 2; Wierstra et al. (2014), "Natural evolution strategies", for ranks.

    With `segment`, theta is perturbed anew in each segment s of a lifetime, and its loss L_s is
    credited to all perturbations so far, with which longer lifetimes do not drown in noise:

    g = 1/(2 sigma P) sum_i sum_s (L_s^+ - L_s^-) (e_i1 + ... + e_is)

    This is the estimator of Vicol, Metz & Sohl-Dickstein (2021), "Unbiased gradient estimation in
    unrolled computation graphs with persistent evolution strategies", section 4, with whole
    lifetimes between two meta-steps; with `persistent`, lives and sums go on across meta-steps.
    `MetaAux` is of the learner without perturbation.
    """

    demands: ClassVar[str] = ""

    sigma: float = eqx.field(static=True, default=0.01)
    """Standard deviation of the perturbations."""
    population: int = eqx.field(static=True, default=32)
    """Perturbed lifetimes an episode; even, since they come in pairs."""
    shaping: Literal["none", "ranks"] = eqx.field(static=True, default="none")
    """`ranks`: losses of an episode are replaced by their ranks from -1/2 to 1/2, which gives
    outliers no weight, and a direction instead of a gradient."""
    segment: int | None = eqx.field(static=True, default=None)
    """Moments between fresh perturbations; one perturbation a lifetime where it is not given."""
    at_once: int | None = eqx.field(static=True, default=None)
    """Pairs computed together; all where it is not given. Fewer need less memory."""

    def __check_init__(self):
        if not 0 < self.sigma < float("inf"):
            raise UsageError(f"--estimator.sigma {self.sigma}: it must be positive and finite")
        if self.population < 2 or self.population % 2:
            raise UsageError(
                f"--estimator.population {self.population}: lifetimes come in pairs, so give an "
                "even number, at least 2"
            )
        if self.segment is not None and self.segment < 1:
            raise UsageError(f"--estimator.segment {self.segment}: at least 1 moment is needed")
        if self.segment is not None and self.shaping != "none":
            raise UsageError(
                f"--estimator.shaping {self.shaping} ranks whole lifetimes: leave out "
                "--estimator.segment, or the shaping"
            )
        if self.at_once is not None and (self.at_once < 1 or self.pairs % self.at_once):
            raise UsageError(
                f"--estimator.at-once {self.at_once}: it must divide the {self.pairs} pairs of "
                f"the population"
            )

    @property
    def pairs(self) -> int:
        """Antithetic pairs an episode."""
        return self.population // 2

    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        lives = count(episodes)
        whole = self.segment is None or self.segment >= episodes.stream.x.shape[1]
        one = self._whole if whole else self._in_segments
        keys = lifetime_keys(key, lives)
        noise = lifetime_keys(jr.fold_in(key, in_all(lives)), lives)

        def each(episode: Episode, key: Key, noise: Key) -> tuple[Gradient, MetaAux]:
            verdict = live(learner, episode, key=key)
            gradient = one(learner, episode, jr.split(noise, self.pairs), key, where)
            return gradient, MetaAux(verdict.loss, verdict.metric)

        gradients, aux = jax.vmap(each)(episodes, keys, noise)
        return jax.tree.map(lambda leaf: leaf.mean(0), gradients), aux

    def _whole(
        self, learner: AbstractLearner, episode: Episode, noise: jax.Array, key: Key, where: Any
    ) -> Gradient:
        """The estimate from one episode, its perturbations held through the lifetime."""
        arrays, rest = learned(learner, where)

        def losses(noise: Key) -> jax.Array:
            def loss(sign: jax.Array) -> jax.Array:
                moved = perturbed(arrays, draw(arrays, key=noise), sign * self.sigma)
                return live(eqx.combine(moved, rest), episode, key=key).loss

            return jax.vmap(loss)(jnp.asarray([1.0, -1.0]))

        if self.at_once is None:
            found = jax.vmap(losses)(noise)
        else:
            found = jax.lax.map(losses, noise, batch_size=self.at_once)
        if self.shaping == "ranks":
            found = centred_ranks(found)
        weight = (found[:, 0] - found[:, 1]) / (2 * self.sigma)

        def credit(noise: Key, weight: jax.Array) -> Gradient:
            return jax.tree.map(lambda e: weight.astype(e.dtype) * e, draw(arrays, key=noise))

        return self._mean(credit, arrays, noise, weight)

    def _in_segments(
        self, learner: AbstractLearner, episode: Episode, noise: jax.Array, key: Key, where: Any
    ) -> Gradient:
        """The estimate from one episode, with fresh perturbations in every segment."""
        arrays, rest = learned(learner, where)
        assert self.segment is not None
        segment = self.segment

        def credit(noise: Key) -> Gradient:
            def learner_of(index: jax.Array, sign: jax.Array) -> AbstractLearner:
                e = draw(arrays, key=jr.fold_in(noise, index))
                return eqx.combine(perturbed(arrays, e, sign * self.sigma), rest)

            def losses(sign: jax.Array) -> jax.Array:
                return segmented_losses(
                    lambda index: learner_of(index, sign), episode, segment, key=key
                )

            found = jax.vmap(losses)(jnp.asarray([1.0, -1.0]))
            weights = (found[0] - found[1]) / (2 * self.sigma)

            def add(total: Any, own: Any) -> tuple[Any, None]:
                sums, gradient = total
                index, weight = own
                e = draw(arrays, key=jr.fold_in(noise, index))
                sums = jax.tree.map(jnp.add, sums, e)
                gradient = jax.tree.map(lambda g, s: g + weight.astype(s.dtype) * s, gradient, sums)
                return (sums, gradient), None

            nothing = jax.tree.map(jnp.zeros_like, draw(arrays, key=noise))
            indices = jnp.arange(weights.shape[0])
            return jax.lax.scan(add, (nothing, nothing), (indices, weights))[0][1]

        return self._mean(credit, arrays, noise)

    def _mean(self, credit: Any, arrays: Any, *args: jax.Array) -> Gradient:
        """The mean over pairs of `credit(noise, ...)`, in the dtypes of the arrays."""

        def some(args: Any) -> Any:
            return jax.tree.map(lambda leaf: leaf.sum(0), jax.vmap(credit)(*args))

        if self.at_once in (None, self.pairs):
            total = some(args)
        else:
            shape = (-1, self.at_once)
            chunks = jax.tree.map(lambda own: own.reshape(*shape, *own.shape[1:]), args)

            def add(total: Any, args: Any) -> tuple[Any, None]:
                return jax.tree.map(jnp.add, total, some(args)), None

            first = some(jax.tree.map(lambda own: own[0], chunks))
            rest = jax.tree.map(lambda own: own[1:], chunks)
            total = jax.lax.scan(add, first, rest)[0]
        return jax.tree.map(lambda leaf, own: (leaf / self.pairs).astype(own.dtype), total, arrays)


def draw(arrays: Any, *, key: Key) -> Any:
    """Standard normal perturbations shaped like the arrays, in float32 or wider."""
    leaves, structure = jax.tree.flatten(arrays)
    keys = jr.split(key, max(len(leaves), 1))
    drawn = [
        jr.normal(own, leaf.shape, leaf.dtype if leaf.dtype.itemsize >= 4 else jnp.float32)
        for own, leaf in zip(keys, leaves, strict=False)
    ]
    return jax.tree.unflatten(structure, drawn)


def perturbed(arrays: Any, e: Any, scale: jax.Array) -> Any:
    """`arrays + scale e`, in the dtypes of the arrays."""
    return jax.tree.map(
        lambda leaf, e: (leaf.astype(e.dtype) + scale.astype(e.dtype) * e).astype(leaf.dtype),
        arrays,
        e,
    )


def centred_ranks(losses: jax.Array) -> jax.Array:
    """Ranks of all losses from -1/2 (the smallest) to 1/2; equal losses share theirs.

    Where a loss is not finite all are NaN, since a rank would hide it.
    """
    flat = losses.reshape(-1)
    below = (flat[:, None] > flat[None, :]).sum(1) + (flat[:, None] >= flat[None, :]).sum(1) - 1
    ranks = below.astype(flat.dtype) / (2 * (flat.size - 1)) - 0.5
    return jnp.where(jnp.isfinite(flat).all(), ranks, jnp.nan).reshape(losses.shape)
