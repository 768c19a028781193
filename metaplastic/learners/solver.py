"""How a lifetime settles: the minimiser of a loss, as steps of an optimiser or until stationary."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError, require_not_negative, require_positive
from .._types import Key
from ._optimisers import LINEAR, require_optimiser, transformation

Slope = Callable[[jax.Array, Key], jax.Array]
"""`(phi [n], key of the step) -> slope [n]`, perhaps of a mini-batch that the key draws."""
Objective = Callable[[jax.Array], jax.Array]
"""`phi [n] -> loss` on all examples."""


class Solver(eqx.Module):
    """Which optimiser minimises a phase, for how many steps, on how many examples a step."""

    optimiser: str = eqx.field(static=True, default="adam")
    steps: int = eqx.field(static=True, default=500)
    """Steps of a phase; with `until`, at most so many."""
    batch: int | None = eqx.field(static=True, default=None)
    """Examples drawn for every step, without replacement; None: all of them."""
    until: float | None = eqx.field(static=True, default=None)
    """Stop where no entry of the slope is larger."""
    newton: int = eqx.field(static=True, default=0)
    """Steps of Newton's method with the dense Hessian at the end of every phase."""
    peel: bool = eqx.field(static=True, default=False)
    """Take the first of fixed steps outside the loop: phases that are batched and start at the same
    phi then share its slopes, which is one step less for all but one of them."""

    def __check_init__(self):
        least = 0 if self.newton else 1
        if self.steps < least:
            raise UsageError(f"--learner.steps {self.steps}: at least {least} is needed")
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"--learner.batch {self.batch}: at least 1 is needed")
        if self.until is not None:
            require_positive("--learner.until", self.until)
        require_not_negative("--learner.newton", self.newton)
        if self.batch is not None and (self.until or self.newton or self.optimiser == "bfgs"):
            raise UsageError(
                f"--learner.batch {self.batch} gives a noisy slope, which never becomes "
                "stationary: leave it out with --learner.until, --learner.newton and bfgs"
            )
        if self.optimiser != "bfgs":
            require_optimiser(self.optimiser)

    @property
    def searches(self) -> str | None:
        """The option by which phases follow the loss itself, whatever slope they are given."""
        if self.newton:
            return f"--learner.newton {self.newton}"
        return "--learner.optimiser bfgs" if self.optimiser == "bfgs" else None

    @property
    def fixed(self) -> bool:
        """Is a phase a fixed number of optimiser steps and nothing else?"""
        return self.until is None and self.newton == 0 and self.optimiser != "bfgs"

    def init(self, phi: jax.Array, rate: Any) -> Any:
        """State of the optimiser at the start of a phase."""
        if self.optimiser == "bfgs":
            return ()
        return transformation(self.optimiser, rate).init(phi)

    def advance(
        self, phi: jax.Array, state: Any, slope: jax.Array, rate: Any
    ) -> tuple[jax.Array, Any]:
        """One step of the optimiser."""
        # A synapse that no example reaches stays where it is. Adam's step has a slope of rate /
        # epsilon there, by which reverse differentiation would grow at every step, and overflow.
        still = jnp.zeros_like(slope, bool) if self.optimiser in LINEAR else slope == 0
        slope = jnp.where(still, jax.lax.stop_gradient(slope), slope)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = transformation(self.optimiser, rate).update(slope, state, phi)
        steps = jnp.asarray(updates)
        steps = jnp.where(still, jax.lax.stop_gradient(steps), steps)
        return phi + steps.astype(phi.dtype), state

    def minimise(
        self, slope: Slope, objective: Objective, phi: jax.Array, rate: Any, *, key: Key
    ) -> tuple[jax.Array, Any]:
        """`(phi, optimiser state)` at the end of a phase that starts at `phi` [n].

        Step i draws its examples with `fold_in(key, i)`, so that phases with the same key see the
        same batches.
        """
        if self.optimiser == "bfgs":
            phi = _end_alone(_bfgs(objective, phi, self.steps, self.until or 1e-6))
            state = ()
        elif self.until is None:
            phi, state = self._scan(slope, phi, rate, key)
        else:
            phi, state = self._while(slope, phi, rate, self.until, key)
            phi = _end_alone(phi)
        if self.newton:
            phi = jax.lax.fori_loop(0, self.newton, partial(newton_step, objective), phi)
        return phi, state

    def _scan(self, slope: Slope, phi: jax.Array, rate: Any, key: Key) -> tuple[jax.Array, Any]:
        def step(carry: Any, index: jax.Array) -> tuple[Any, None]:
            phi, state = carry
            own = slope(phi, jr.fold_in(key, index))
            return self.advance(phi, state, own, rate), None

        carry, indices = (phi, self.init(phi, rate)), jnp.arange(self.steps)
        if self.peel and self.steps:
            carry, indices = step(carry, indices[0])[0], indices[1:]
        return jax.lax.scan(step, carry, indices)[0] if indices.size else carry

    def _while(
        self, slope: Slope, phi: jax.Array, rate: Any, until: float, key: Key
    ) -> tuple[jax.Array, Any]:
        def unsettled(carry: tuple[Any, ...]) -> jax.Array:
            _, _, own, index = carry
            return (jnp.abs(own).max() > until) & (index < self.steps)

        def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            phi, state, own, index = carry
            phi, state = self.advance(phi, state, own, rate)
            return phi, state, slope(phi, jr.fold_in(key, index + 1)), index + 1

        zero = jnp.zeros((), jnp.int32)
        start = phi, self.init(phi, rate), slope(phi, jr.fold_in(key, 0)), zero
        phi, state, own, _ = jax.lax.while_loop(unsettled, step, start)
        # No slope is no end: a phase that went out of bounds must not pass for one that settled.
        return jnp.where(jnp.isfinite(own).all(), phi, jnp.nan), state


@jax.custom_jvp
def _end_alone(phi: jax.Array) -> jax.Array:
    """`phi` at the end of a phase of no fixed length, which nothing can be differentiated through.

    Raises `UsageError` where something tries.
    """
    return phi


@_end_alone.defjvp
def _refuse(primals: Any, tangents: Any) -> Any:
    del primals, tangents
    raise UsageError(
        "phases that end when they are stationary (--learner.until, bfgs) cannot be differentiated "
        "step by step: use --estimator contrastive or implicit, or fixed --learner.steps"
    )


class Batch(NamedTuple):
    """Examples of a phase."""

    x: jax.Array
    """[n, *input], as the learner perceives them."""
    y: jax.Array
    """[n, outputs]"""


def draw(batch: Batch, number: int | None, *, key: Key) -> Batch:
    """`number` of the examples, without replacement; all of them where there are no more."""
    total = batch.x.shape[0]
    if number is None or number >= total:
        return batch
    index = jr.choice(key, total, (number,), replace=False)
    return Batch(batch.x[index], batch.y[index])


def newton_step(objective: Objective, _: Any, phi: jax.Array) -> jax.Array:
    """`phi - H^-1 g`, with the slope g [n] and the dense Hessian H [n, n] of the objective."""
    slope, product = jax.linearize(jax.grad(objective), phi)
    hessian = jax.vmap(product)(jnp.eye(phi.size, dtype=phi.dtype))
    return phi - jnp.linalg.solve(hessian, slope)


def _bfgs(objective: Objective, phi: jax.Array, steps: int, until: float) -> jax.Array:
    import optimistix

    solver = optimistix.BFGS(rtol=until, atol=until)
    with jax.numpy_dtype_promotion("standard"):
        found = optimistix.minimise(
            lambda own, _: objective(own), solver, phi, max_steps=steps, throw=False
        )
    return found.value
