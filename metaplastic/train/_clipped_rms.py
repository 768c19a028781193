"""Steps of one root-mean-square gradient at most, and weights that shrink (Miconi, 2016)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

_MEMORY, _SMALLEST = 0.01, 1e-8


class ClippedRMSState(NamedTuple):
    """Running mean of the squared gradient, and whether there is one yet."""

    square: Any
    begun: jax.Array


def clipped_rms(
    eta: float,
    max_step: float,
    l1: float = 0.0,
    l2: float = 0.0,
    decay_where: Callable[[Any], Any] | None = None,
) -> optax.GradientTransformation:
    """The optimiser of Miconi (2016), elementwise; its output is added to the parameters.

        m = g^2 at the first step, then m + 0.01 (g^2 - m)
        theta' = theta + clip(-eta g / sqrt(m + 1e-8), -max_step, max_step)
        theta'' = theta' - l1 sign(theta') - l2 theta'        where it decays

    `decay_where` maps a tree of parameters to one of booleans; all decay by default.
    """

    def init(params: Any) -> ClippedRMSState:
        return ClippedRMSState(jax.tree.map(jnp.zeros_like, params), jnp.zeros((), bool))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, ClippedRMSState]:
        square = jax.tree.map(
            lambda g, m: jnp.where(state.begun, m + _MEMORY * (g * g - m), g * g),
            updates,
            state.square,
        )

        def step(g: jax.Array, m: jax.Array, theta: jax.Array, decays: bool) -> jax.Array:
            own = jnp.clip(-eta * g / jnp.sqrt(m + _SMALLEST), -max_step, max_step)
            if not decays:
                return own
            after = theta + own
            return own - (l1 * jnp.sign(after) + l2 * after)

        if params is None:
            raise ValueError("clipped_rms needs the parameters: they decay")
        everywhere = jax.tree.map(lambda _: bool(l1 or l2), params)
        decays = everywhere if decay_where is None else decay_where(params)
        steps = jax.tree.map(step, updates, square, params, decays)
        return steps, ClippedRMSState(square, jnp.ones((), bool))

    return optax.GradientTransformation(init, update)
