"""A phase lived again step by step, to say where it went out of bounds, or began to climb."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree

from .._types import Key
from .bilevel import AbstractBilevelLearner, Fast
from .solver import Batch, Solver, newton_step


class Moment(NamedTuple):
    """A step of a phase, as one names it."""

    number: int | None
    """None where the solver has no steps that could be told apart."""
    unit: str = "step"


class Walk(NamedTuple):
    """What a phase was like at each of its steps, the end included."""

    loss: np.ndarray
    """Of the phase itself, on all examples, before each step and at the end, [steps + 1]."""
    fine: np.ndarray
    """Are the step's slope and what it makes of phi finite? [steps + 1]"""
    solver: Solver

    def moment(self, index: int) -> Moment:
        """What is at an index."""
        if self.solver.optimiser == "bfgs":
            return Moment(None)
        newton = index - self.solver.steps - 1
        if newton >= 0:
            return Moment(newton, "Newton step")
        return Moment(index)

    def breaks(self) -> Moment | None:
        """The first step that is not finite."""
        return None if self.fine.all() else self.moment(int(np.argmin(self.fine)))


def walk(
    learner: AbstractBilevelLearner,
    fast: Fast,
    support: Batch,
    query: Batch | None = None,
    beta: Any = 0.0,
    *,
    solver: Solver | None = None,
    rate: Any = None,
    key: Key,
) -> Walk:
    """Live through the phase of `AbstractBilevelLearner.settle` with the same arguments."""
    solver = learner.solver if solver is None else solver
    rate = learner.rate if rate is None else rate
    flat, unravel = ravel_pytree(fast)

    def slope(phi: jax.Array, index: Any) -> jax.Array:
        own = jr.fold_in(key, index)
        return learner.flat_slope(unravel(phi), support, query, beta, solver, own)

    def objective(phi: jax.Array) -> jax.Array:
        return learner.augmented_loss(unravel(phi), support, query, beta)

    def step(carry: tuple[Any, ...], index: jax.Array) -> tuple[Any, Any]:
        phi, state, done = carry
        down = slope(phi, index)
        if solver.until is not None:
            done |= jnp.abs(down).max() <= solver.until
        after, state = solver.advance(phi, state, down, rate)
        after = jnp.where(done | (index == solver.steps), phi, after)
        fine = jnp.isfinite(after).all() & jnp.isfinite(down).all()
        return (after, state, done), (objective(phi), fine)

    def newton(phi: jax.Array, _: Any) -> tuple[jax.Array, Any]:
        after = newton_step(objective, None, phi)
        return after, (objective(after), jnp.isfinite(after).all())

    def whole(flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        if solver.optimiser == "bfgs":
            end = learner.settle(fast, support, query, beta, solver=solver, rate=rate, key=key)
            phi = ravel_pytree(end)[0]
            seen = jnp.stack([objective(flat), objective(phi)]), jnp.isfinite(phi).all()[None]
        else:
            start = flat, solver.init(flat, rate), jnp.zeros((), bool)
            (phi, *_), seen = jax.lax.scan(step, start, jnp.arange(solver.steps + 1))
        if solver.newton:
            more = jax.lax.scan(newton, phi, length=solver.newton)[1]
            seen = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), seen, more)
        return seen

    loss, fine = jax.jit(whole)(flat)
    return Walk(np.asarray(loss), np.asarray(fine), solver)
