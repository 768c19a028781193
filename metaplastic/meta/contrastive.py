"""The contrastive rule: two lifetimes that settle, one of them nudged, and their difference."""

import math
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._compiling import compiled_once
from .._errors import UsageError, require_positive
from .._types import Key
from ..learners._phase_walk import Walk, walk
from ..learners.base import AbstractLearner
from ..learners.bilevel import (
    AbstractBilevelLearner,
    Fast,
    require_bilevel,
)
from ..learners.solver import Batch, Solver
from ..tasks.base import Episode
from ._phase_quality import climb_tolerance, opposition, phase_advice, phase_quality
from ._settled import AbstractSettledGradient, FreePhase, free_phase
from .base import Blame, Gradient

Contrast = Literal["symmetric", "one_sided", "three_point", "control"]


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
        if self.beta == 0:
            raise UsageError(
                f"--estimator.beta {self.beta}: without nudging there is nothing to contrast, "
                "0.1 is usual"
            )
        if not math.isfinite(self.beta):
            raise UsageError(f"--estimator.beta {self.beta}: it must be finite, 0.1 is usual")
        if self.rate is not None:
            require_positive("--estimator.rate", self.rate)
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
        lived = FreePhase(support, query, free, key)
        return gradient, self._quality(learner, lived, nudged, nudges)

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

    def blame(self, learner: AbstractLearner, episode: Episode, *, key: Key) -> Blame | None:
        """The first nudged phase and step whose phi or slope is not finite."""
        own = require_bilevel(learner, who=self.name)
        lived = compiled_once(free_phase)(own, episode, who=self.name, key=key)
        for beta in self._betas():
            found = self._walk(own, lived, beta).breaks()
            if found is not None:
                return Blame(f"phi of the phase at beta {beta:g}", *found)
        return None

    def within(
        self, measure: str, learner: AbstractBilevelLearner, episode: Episode, *, key: Key
    ) -> str | None:
        """The phase that climbs highest, and the step from which on it is above its start; the
        phase with the largest slope."""
        if measure not in ("climbs", "nudged_stationarity"):
            return AbstractSettledGradient.within(self, measure, learner, episode, key=key)

        def again(learner: AbstractBilevelLearner, episode: Episode) -> tuple[FreePhase, Any]:
            lived = free_phase(learner, episode, who=self.name, key=key)
            support, query, free, phase_key = lived
            nudges, phases = self.nudged(learner, free, support, query, key=phase_key)
            return lived, phase_quality(learner, lived, phases, nudges)

        lived, found = compiled_once(again)(learner, episode)
        each = found["climb" if measure == "climbs" else measure]
        beta = self._betas()[int(jnp.argmax(each))]
        phase = f"the phase at beta {beta:g}"
        if measure != "climbs":
            return phase
        loss = self._walk(learner, lived, beta).loss
        below = np.flatnonzero(loss <= loss[0] + climb_tolerance(loss[0]))
        return f"{phase} above its start after step {below[-1]}"

    def _betas(self) -> list[float]:
        return [nudge * self.beta for nudge in _CONTRASTS[self.contrast].nudges]

    def _walk(self, learner: AbstractBilevelLearner, lived: FreePhase, beta: float) -> Walk:
        how: dict[str, Any] = {"solver": self.solver(learner), "rate": self.rate}
        support, query, free, key = lived
        return walk(learner, free, support, query, beta, **how, key=key)

    def solver(self, learner: AbstractBilevelLearner) -> Solver:
        """That of the nudged phases."""
        own = learner.solver
        steps = (own.steps + 1) // 2 if self.steps is None else self.steps
        if not steps and not own.newton:
            raise UsageError(f"--estimator.steps {steps}: at least 1 is needed")
        name = self.optimiser or own.optimiser
        return Solver(name, steps, own.batch, own.until, own.newton, peel=True)

    def _quality(
        self, learner: AbstractBilevelLearner, lived: FreePhase, nudged: Fast, nudges: jax.Array
    ) -> dict[str, jax.Array]:
        """How well the phases settled: see `advice`."""
        found = phase_quality(learner, lived, nudged, nudges)
        quality = {
            "free_stationarity": found["free_stationarity"],
            "nudged_stationarity": found["nudged_stationarity"].max(),
        }
        if "climb" in found:
            climb = found["climb"]
            finite = jnp.isfinite(climb).all()
            quality["climbs"] = jnp.where(finite, (climb > 0).any().astype(climb.dtype), jnp.nan)
        if self.contrast == "symmetric":
            quality["opposition"] = opposition(lived.free, nudged)
        return quality

    def advice(self, quality: dict[str, float]) -> dict[str, str]:
        """What the phases say against the estimate, by measure.

        `free_stationarity` = |dL_learn/dphi| / |beta dL_eval/dphi| at the free phase's end,
        `nudged_stationarity` the largest |dL/dphi| / |beta dL_eval/dphi| of a nudged phase,
        `climbs` the part of lifetimes with a phase that ended higher on its own loss than it
        began, `opposition` the cosine of the two displacements of `symmetric`, near -1 where both
        answer to the nudge and near +1 where both go on settling. A learner whose slope is not the
        gradient of its loss has no `climbs`.
        """
        uses_free = bool(_CONTRASTS[self.contrast].free)
        return phase_advice(quality, beta=self.beta, uses_free=uses_free)
