"""The contrastive rule: two lifetimes that settle, one of them nudged, and their difference."""

from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree

from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.bilevel import (
    AbstractBilevelLearner,
    Fast,
    require_bilevel,
    support_and_query,
)
from ..learners.solver import Batch, Solver
from ..tasks.base import Episode
from ._settled import AbstractSettledGradient, norm, settled
from .base import Gradient

Contrast = Literal["symmetric", "one_sided", "three_point", "control"]

UNTRUSTWORTHY = 0.1
"""Slope of the free phase, over that of the nudge, from which a one-sided estimate is useless."""


class _Phases(NamedTuple):
    """Nudging of the phases that follow the free one, and the weight of each in the contrast."""

    nudges: tuple[float, ...]
    """In units of beta."""
    weights: tuple[float, ...]
    """In units of 1 / beta."""
    free: float
    """Weight of the free phase."""


_CONTRASTS: dict[str, _Phases] = {
    "symmetric": _Phases((1.0, -1.0), (0.5, -0.5), 0.0),
    "one_sided": _Phases((1.0,), (1.0,), -1.0),
    "three_point": _Phases((1.0, 2.0), (2.0, -0.5), -1.5),
    "control": _Phases((1.0, 0.0), (1.0, -1.0), 0.0),
}


class Contrastive(AbstractSettledGradient):
    """The meta-gradient as a contrast of partial derivatives at phases that settled.

        phi_b = argmin_phi L_learn(phi, theta) + b L_eval(phi, theta)
        symmetric:    (1 / 2 beta) [dL/dtheta(phi_beta, beta) - dL/dtheta(phi_-beta, -beta)]
        one_sided:    (1 / beta)   [dL/dtheta(phi_beta, beta) - dL/dtheta(phi_0, 0)]
        three_point:  (1 / beta)   [-1.5 dL(phi_0, 0) + 2 dL(phi_beta, beta) - 0.5 dL(phi_2beta)]
        control:      (1 / beta)   [dL/dtheta(phi_beta, beta) - dL/dtheta(phi_0', 0)]

    with phi_0' settled on as many further steps as phi_beta. Nothing is differentiated through a
    phase, so that memory does not grow with its length. Nudged phases start where the free one
    ended, with a fresh optimiser, see the same batches, and run as one batched program. Zucchet,
    Schug, von Oswald, Zhao & Sacramento (2022), "A contrastive rule for meta-learning", section 2.

    Raises `UsageError` for a learner that does not settle, or an episode without questions.
    """

    demands: ClassVar[str] = "settles"

    beta: float = eqx.field(static=True, default=0.1)
    """Strength of the nudging; the smaller, the less bias and the more of the solver's error."""
    contrast: Contrast = eqx.field(static=True, default="symmetric")
    """Which phases are contrasted; `symmetric` and `control` cancel what the free phase left."""
    steps: int | None = eqx.field(static=True, default=None)
    """Steps of a nudged phase; half of the learner's where it is not given."""
    rate: float | None = eqx.field(static=True, default=None)
    """Learning rate of a nudged phase; the learner's where it is not given."""
    optimiser: str | None = eqx.field(static=True, default=None)
    """Optimiser of a nudged phase; the learner's where it is not given."""
    independent: bool = eqx.field(static=True, default=False)
    """Let every phase draw its own batches, whose noise is then divided by beta."""
    measure: bool = eqx.field(static=True, default=True)
    """Measure how well every phase settled (a few slopes on all examples)."""

    def __check_init__(self):
        if self.beta == 0 or self.beta != self.beta:
            raise UsageError(
                f"--estimator.beta {self.beta}: without nudging there is nothing to contrast, "
                "0.1 is usual"
            )
        if self.contrast not in _CONTRASTS:
            known = " or ".join(_CONTRASTS)
            raise UsageError(f"--estimator.contrast {self.contrast}: say {known}")
        if self.steps is not None and self.steps < 0:
            raise UsageError(f"--estimator.steps {self.steps}: it must not be negative")

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
        nudges, nudged = self.nudged(learner, free, support, query, key=key)
        phases = _CONTRASTS[self.contrast]
        weights = jnp.asarray(phases.weights) / self.beta

        def contrast(arrays: Any) -> jax.Array:
            own = eqx.combine(arrays, rest)
            losses = jax.vmap(lambda fast, b: own.augmented_loss(fast, support, query, b))
            total = weights.astype(nudges.dtype) @ losses(nudged, nudges)
            if phases.free:
                total += phases.free / self.beta * own.augmented_loss(free, support)
            return total

        gradient = jax.grad(contrast)(arrays)
        if not self.measure:
            return gradient, {}
        return gradient, self._quality(learner, free, nudged, nudges, support, query, key)

    def nudged(
        self,
        learner: AbstractBilevelLearner,
        free: Fast,
        support: Batch,
        query: Batch,
        *,
        key: Key,
    ) -> tuple[jax.Array, Fast]:
        """`(b of each nudged phase, phi_b)`, with a leading axis over the phases."""
        nudges = self.beta * jnp.asarray(_CONTRASTS[self.contrast].nudges)
        dtype = jax.tree.leaves(free)[0].dtype
        nudges = nudges.astype(dtype)
        rate = learner.rate if self.rate is None else self.rate
        # A key that all share stays one: so do the batches that it draws.
        keys, axis = (jr.split(key, len(nudges)), 0) if self.independent else (key, None)
        solver = self.solver(learner)

        def phase(b: jax.Array, key: Key) -> Fast:
            return learner.settle(free, support, query, b, solver=solver, rate=rate, key=key)

        return nudges, jax.vmap(phase, (0, axis))(nudges, keys)

    def blame(self, learner: AbstractLearner, episode: Episode, *, key: Key) -> str | None:
        """The first nudged phase and step whose phi is not finite."""
        own = require_bilevel(learner, who="contrastive")
        support, query = support_and_query(own, episode, who="contrastive")
        free, phase_key = settled(own, support, key=key)
        solver = self.solver(own)
        rate = own.rate if self.rate is None else self.rate
        flat, unravel = ravel_pytree(free)
        for nudge in _CONTRASTS[self.contrast].nudges:
            beta = nudge * self.beta

            def step(carry: Any, index: jax.Array, beta: float = beta) -> tuple[Any, jax.Array]:
                phi, state = carry
                step_key = jr.fold_in(phase_key, index)
                slope = own.flat_slope(unravel(phi), support, query, beta, solver, step_key)
                phi, state = solver.advance(phi, state, slope, rate)
                return (phi, state), jnp.isfinite(phi).all()

            if not solver.fixed or not solver.steps:
                continue
            steps = jnp.arange(solver.steps)
            fine = jax.lax.scan(step, (flat, solver.init(flat, rate)), steps)[1]
            if not bool(fine.all()):
                return f"phi of the phase at beta {beta:g}, step {int(jnp.argmin(fine))}"
        return None

    def solver(self, learner: AbstractBilevelLearner) -> Solver:
        """That of the nudged phases."""
        own = learner.solver
        steps = (own.steps + 1) // 2 if self.steps is None else self.steps
        name = self.optimiser or own.optimiser
        return Solver(name, steps, own.batch, own.until, own.newton, peel=True)

    def _quality(
        self,
        learner: AbstractBilevelLearner,
        free: Fast,
        nudged: Fast,
        nudges: jax.Array,
        support: Batch,
        query: Batch,
        key: Key,
    ) -> dict[str, jax.Array]:
        """How well the phases settled: see `advice`."""

        def slope(fast: Fast, b: Any) -> jax.Array:
            return norm(learner.augmented_slope(fast, support, query, b, key=key))

        def loss(fast: Fast, b: Any) -> jax.Array:
            return learner.augmented_loss(fast, support, query, b)

        nudge = abs(self.beta) * norm(learner.eval_slope(free, query, key=key))
        left = slope(free, jnp.zeros_like(nudges[0]))
        after = jax.vmap(slope)(nudged, nudges)
        descent = jax.vmap(lambda own, b: loss(own, b) - loss(free, b))(nudged, nudges)
        tolerance = 1e-6 * jnp.abs(loss(free, nudges[0]))
        quality = {
            "free_stationarity": left / nudge,
            "nudged_stationarity": after.max() / nudge,
            "climbs": (descent > tolerance).any().astype(left.dtype),
        }
        if self.contrast == "symmetric":
            quality["opposition"] = _opposition(free, nudged)
        return quality

    def advice(self, quality: dict[str, float]) -> str | None:
        """A sentence where the phases are such that the estimate must not be trusted.

        `free_stationarity` = |dL_learn/dphi| / |beta dL_eval/dphi| at the free phase's end,
        `nudged_stationarity` the largest |dL/dphi| / |beta dL_eval/dphi| of a nudged phase,
        `climbs` the part of lifetimes with a phase that ended higher on its own loss than it
        began, `opposition` the cosine of the two displacements of `symmetric`, near -1 where both
        answer to the nudge and near +1 where both go on settling.
        """
        if not quality:
            return None
        if quality["climbs"] > 0.1:
            return (
                f"in {quality['climbs']:.0%} of the lifetimes a nudged phase ends higher on its "
                "own loss than it began: try a smaller --estimator.beta or --estimator.rate, or "
                "--estimator.contrast three_point"
            )
        left = quality["free_stationarity"]
        if left > UNTRUSTWORTHY and self.contrast in ("one_sided", "three_point"):
            return (
                f"the free phase is far from stationary (its slope is {left:.2g} of the nudge's, "
                f"over {UNTRUSTWORTHY}), so that the estimate is not to be trusted: use "
                "--estimator.contrast symmetric, more --learner.steps, or a larger "
                "--learner.strength"
            )
        if quality["nudged_stationarity"] > 1.0:
            return (
                "the nudged phases end with a slope "
                f"{quality['nudged_stationarity']:.2g} times that of the nudge, so that what they "
                "differ by is mostly how they got there: use a smaller --estimator.rate, more "
                "--estimator.steps, or a larger --estimator.beta"
            )
        together = quality.get("opposition", -1.0)
        if together > 0.5:
            return (
                f"both nudged phases go on settling the same way (cosine {together:.2f}) and "
                "little of their difference is the nudge's: use more --learner.steps, or a larger "
                "--estimator.beta"
            )
        return None


def _opposition(free: Fast, nudged: Fast) -> jax.Array:
    """Cosine of the displacements of the two phases from the free one."""
    moved = jax.tree.map(lambda after, before: after - before, nudged, free)
    plus, minus = (jax.tree.map(lambda leaf, i=i: leaf[i], moved) for i in range(2))
    products = jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), plus, minus))
    product = jnp.stack(products).sum()
    return product / jnp.maximum(norm(plus) * norm(minus), jnp.finfo(product.dtype).tiny)
