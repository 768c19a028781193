"""Implicit differentiation: what a minimum does when its landscape changes."""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .._errors import UsageError
from .._types import Key
from ..learners.bilevel import AbstractBilevelLearner, Fast
from ..learners.solver import Batch
from ._settled import AbstractSettledGradient
from .base import Gradient

Method = Literal["cg", "neumann", "t1t2", "exact"]

_DENSE_UP_TO = 5000
"""Weights up to which the Hessian is written out: 200 MB in float64."""


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
        if self.method not in ("cg", "neumann", "t1t2", "exact"):
            raise UsageError(f"--estimator.method {self.method}: say cg, neumann, t1t2 or exact")
        if self.steps < 1:
            raise UsageError(f"--estimator.steps {self.steps}: at least 1 is needed")
        if not self.scale > 0:
            raise UsageError(f"--estimator.scale {self.scale}: it must be positive")
        if not self.damping >= 0:
            raise UsageError(f"--estimator.damping {self.damping}: it must not be negative")

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
            "free_stationarity": jnp.linalg.norm(slope) / size,
            "linear_residual": jnp.linalg.norm(product(v) + self.damping * v - g) / size,
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

    def advice(self, quality: dict[str, float]) -> str | None:
        """A sentence where the free phase is far from a minimum, or the solution from solving."""
        if quality and quality["free_stationarity"] > 1.0:
            return (
                "the free phase is far from stationary (its slope is "
                f"{quality['free_stationarity']:.2g} of that of the evaluation loss): use more "
                "--learner.steps or a larger --learner.strength"
            )
        return None
