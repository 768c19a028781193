"""The wheel: contexts in a disc, five arms, and a large reward at its rim that is rarely met.

Inside the radius the last arm pays best, by a little; outside it, in each quadrant another arm pays
forty times as much. Riquelme, Tucker & Snoek (2018), "Deep Bayesian bandits showdown", section 5.4.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from .._types import Key

ARMS = 5
SAFE = 4
"""The arm that is best inside the radius."""
LOW, GOOD, HIGH = 1.0, 1.2, 50.0
"""Mean rewards: of arms 0-3, of the safe arm, of the quadrant's arm outside the radius."""
NOISE, HIGH_NOISE = 0.05, 0.01
"""Standard deviations of the rewards: the usual one, and that of the high reward."""


def contexts(key: Key, count: int, *, dtype: DTypeLike = float) -> Float[Array, "count 2"]:
    """Points uniform in the unit disc."""
    area, turn = jr.uniform(key, (2, count), dtype)
    angle = 2 * jnp.pi * turn
    return jnp.sqrt(area)[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)


def means(x: Float[Array, "*n 2"], radius: jax.Array | float) -> Float[Array, "*n arms"]:
    """Expected reward of every arm.

    Quadrants: (+, +) arm 0, (+, -) arm 1, (-, +) arm 2, (-, -) arm 3.
    """
    usual = jnp.full(ARMS, LOW, x.dtype).at[SAFE].set(GOOD)
    return jnp.where(_pays_high(x, radius), jnp.asarray(HIGH, x.dtype), usual)


def pay(key: Key, x: Float[Array, "*n 2"], radius: jax.Array | float) -> Float[Array, "*n arms"]:
    """A reward of every arm, normally distributed around its mean."""
    high = _pays_high(x, radius)
    spread = jnp.where(high, jnp.asarray(HIGH_NOISE, x.dtype), jnp.asarray(NOISE, x.dtype))
    return means(x, radius) + spread * jr.normal(key, high.shape, x.dtype)


def regret(
    x: Float[Array, "*n 2"], arm: Int[Array, "*n"], radius: jax.Array | float
) -> Float[Array, "*n"]:
    """Expected reward of the best arm less that of `arm`."""
    expected = means(x, radius)
    chosen = jnp.take_along_axis(expected, arm[..., None], -1)[..., 0]
    return expected.max(-1) - chosen


def uniform_regret(radius: jax.Array | float) -> jax.Array | float:
    """Mean regret a trial of choosing uniformly: `0.16 r^2 + 39.16 (1 - r^2)`.

    Inside, 1.2 - (4 + 1.2) / 5; outside, 50 - (50 + 3 + 1.2) / 5.
    """
    inside = GOOD - ((ARMS - 1) * LOW + GOOD) / ARMS
    outside = HIGH - (HIGH + (ARMS - 2) * LOW + GOOD) / ARMS
    return inside * radius**2 + outside * (1 - radius**2)


def _pays_high(x: jax.Array, radius: jax.Array | float) -> jax.Array:
    """At which arms the high reward is, [*n, arms] of booleans."""
    right, upper = x[..., 0] >= 0, x[..., 1] >= 0
    quadrant = jnp.where(right, jnp.where(upper, 0, 1), jnp.where(upper, 2, 3))
    outside = jnp.linalg.norm(x, axis=-1) > radius
    return outside[..., None] & (jnp.arange(ARMS) == quadrant[..., None])
