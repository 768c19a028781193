"""Implicit differentiation: what a minimum does when its landscape changes."""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .._compiling import compiled_once
from .._errors import UsageError, require_not_negative, require_positive
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.bilevel import (
    AbstractBilevelLearner,
    Fast,
    require_bilevel,
)
from ..learners.solver import Batch
from ..tasks.base import Episode
from ._phase_quality import NO_MINIMUM
from ._settled import AbstractSettledGradient, free_phase, over
from .base import Blame, Gradient, learned

Method = Literal["cg", "neumann", "t1t2", "exact"]

_DENSE_UP_TO = 5000
"""Weights up to which the Hessian is written out: 200 MB in float64."""

_UNSOLVED = 0.2
"""Residual of the linear system, over its right-hand side, from which a solution is none."""

_DAMPED = "--estimator.damping, or a larger --learner.strength"
_UNSOLVED_FOR = {
    "cg": "more --estimator.steps, or --estimator.damping",
    "neumann": "more --estimator.steps, or a larger --estimator.scale",
    "exact": _DAMPED,
}
_OUT_OF_BOUNDS = {"neumann": "a smaller --estimator.scale", "t1t2": "a smaller --estimator.scale"}


class Implicit(AbstractSettledGradient):
    """The derivative of a minimum, by the implicit function theorem.

        grad = dL_eval/dtheta - (d^2 L_learn / dtheta dphi)^T v,   H v = dL_eval/dphi

    all at the end of the free phase, H the Hessian of L_learn in phi. `cg`: so many steps of
    conjugate gradients (Rajeswaran et al. 2019, "Meta-learning with implicit gradients");
    `neumann`: v = a sum_k (I - a H)^k g (Lorraine, Vicol & Duvenaud 2020; recurrent
    back-propagation); `t1t2`: v = a g (Luketina et al. 2016); `exact`: a dense solve, for small
    problems. The phase must have reached a minimum.

    Raises `UsageError` for a learner that does not settle, an episode without questions, and
    `exact` with too many weights.
    """

    demands: ClassVar[str] = "settles"

    method: Method = eqx.field(static=True, default="cg")
    """How the linear system is solved."""
    steps: int = eqx.field(static=True, default=20)
    """Steps of conjugate gradients, terms of the Neumann series."""
    scale: float = eqx.field(static=True, default=0.01)
    """a: step of the Neumann series (below 1 / largest curvature), or what stands for the inverse
    Hessian in `t1t2`."""
    damping: float = eqx.field(static=True, default=0.0)
    """Added to the Hessian's diagonal."""

    def __check_init__(self):
        if self.steps < 1:
            raise UsageError(f"--estimator.steps {self.steps}: at least 1 is needed")
        require_positive("--estimator.scale", self.scale)
        require_not_negative("--estimator.damping", self.damping)

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
        del key
        flat, unravel = ravel_pytree(free)

        def learn_slope(own: AbstractBilevelLearner, phi: jax.Array) -> jax.Array:
            return jax.grad(lambda phi: own.learn_loss(unravel(phi), support))(phi)

        g = jax.grad(lambda phi: learner.eval_loss(unravel(phi), query))(flat)
        slope, product = jax.linearize(lambda phi: learn_slope(learner, phi), flat)
        v = self._solve(lambda u: product(u) + self.damping * u, g)

        def linear_in_theta(arrays: Any) -> jax.Array:
            own = eqx.combine(arrays, rest)
            return own.eval_loss(free, query) - learn_slope(own, flat) @ v

        gradient = jax.grad(linear_in_theta)(arrays)
        size = jnp.linalg.norm(g)
        quality = {
            "free_stationarity": over(jnp.linalg.norm(slope), size),
            "linear_residual": over(jnp.linalg.norm(product(v) + self.damping * v - g), size),
        }
        return gradient, quality

    def _solve(self, product: Any, g: jax.Array) -> jax.Array:
        """v of H v = g, or what the method takes for it."""
        if self.method == "t1t2":
            return self.scale * g
        if self.method == "cg":
            found = jax.scipy.sparse.linalg.cg(product, g, tol=1e-12, maxiter=self.steps)
            return found[0]
        if self.method == "neumann":

            def term(carry: tuple[jax.Array, jax.Array], _: None) -> tuple[Any, None]:
                power, total = carry
                return (power - self.scale * product(power), total + power), None

            total = jax.lax.scan(term, (g, jnp.zeros_like(g)), None, length=self.steps)[0][1]
            return self.scale * total
        if g.size > _DENSE_UP_TO:
            raise UsageError(
                f"--estimator.method exact writes out a Hessian of {g.size} weights, and "
                f"{_DENSE_UP_TO} is as far as that goes: use cg"
            )
        hessian = jax.vmap(product)(jnp.eye(g.size, dtype=g.dtype))
        return jnp.linalg.solve(hessian, g)

    def blame(self, learner: AbstractLearner, episode: Episode, *, key: Key) -> Blame | None:
        own = require_bilevel(learner, who=self.name)

        def again(own: AbstractBilevelLearner, episode: Episode) -> dict[str, jax.Array]:
            support, query, free, phase_key = free_phase(own, episode, who=self.name, key=key)
            return self.estimate(own, *learned(own), free, support, query, key=phase_key)[1]

        found = compiled_once(again)(own, episode)
        if jnp.isfinite(found["free_stationarity"]) and not jnp.isfinite(found["linear_residual"]):
            remedy = _OUT_OF_BOUNDS.get(self.method, _DAMPED)
            return Blame(f"what {self.method} makes of the linear system", remedy=remedy)
        return None

    def advice(self, quality: dict[str, float]) -> dict[str, str]:
        """Where the free phase is far from a minimum, or the solution from solving.

        `free_stationarity` = |dL_learn/dphi| / |dL_eval/dphi| at the free phase's end,
        `linear_residual` = |H v - g| / |g|; `t1t2` does not mean to solve.
        """
        told: dict[str, str] = {}
        if not quality:
            return told
        slope, residual = quality["free_stationarity"], quality["linear_residual"]
        if slope > NO_MINIMUM:
            told["free_stationarity"] = (
                f"the free phase is far from stationary (its slope is {slope:.2g} of that of the "
                f"evaluation loss, over {NO_MINIMUM}): use more --learner.steps or a larger "
                "--learner.strength; with a local rule it may settle at no minimum at all"
            )
        if self.method == "neumann" and residual > 1:
            told["linear_residual"] = (
                f"the Neumann series diverges (a residual of {residual:.2g}, over 1): use "
                f"{_OUT_OF_BOUNDS['neumann']}"
            )
        elif self.method != "t1t2" and residual > _UNSOLVED:
            told["linear_residual"] = (
                f"the linear system is not solved (a residual of {residual:.2g}, over "
                f"{_UNSOLVED}): use {_UNSOLVED_FOR[self.method]}"
            )
        return told
