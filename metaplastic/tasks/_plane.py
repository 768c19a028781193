"""Functions of the plane: how points are drawn, and to which of two classes each belongs."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float

from .._types import Key

Points = Float[Array, "points 2"]
Drawn = tuple[Points, Bool[Array, " points"]]
Uniform = Float[Array, "points 3"]
"""From U[0, 1)."""
Normal = Float[Array, "points 2"]
Function = Callable[[Uniform, Normal], Drawn]
_WIDTH = 0.3
"""Half the width of a bar of the cross."""
_NOISE = 0.1
"""Standard deviation of points around a curve."""


def randomness(key: Key, count: int) -> tuple[Uniform, Normal]:
    """What all functions make their points of."""
    uniform_key, normal_key = jr.split(key)
    return jr.uniform(uniform_key, (count, 3)), jr.normal(normal_key, (count, 2))


def _uniform(inside: Callable[[Points], jax.Array]) -> Function:
    """Points from U[-1, 1]^2; the class is where they lie."""

    def points(u: Uniform, normal: Normal) -> Drawn:
        del normal
        x = 2 * u[:, :2] - 1
        return x, inside(x)

    return points


def _both(x: Points) -> jax.Array:
    return (x > 0).all(-1)


def _either(x: Points) -> jax.Array:
    return (x > 0).any(-1)


def _differ(x: Points) -> jax.Array:
    return x[:, 0] * x[:, 1] < 0


def _turned(x: Points) -> jax.Array:
    """By an eighth of a turn."""
    return jnp.stack([x[:, 0] + x[:, 1], x[:, 1] - x[:, 0]], -1)


def _triangle(x: Points) -> jax.Array:
    return (x[:, 1] > -0.5) & (jnp.abs(x[:, 0]) + x[:, 1] < 1)


def _slice(x: Points) -> jax.Array:
    return jnp.abs(jnp.arctan2(x[:, 1], x[:, 0])) < math.pi / 4


def _circle(x: Points) -> jax.Array:
    return jnp.square(x).sum(-1) < 0.6**2


def _square(x: Points) -> jax.Array:
    return jnp.abs(x).max(-1) < 0.6


def _ring(x: Points) -> jax.Array:
    radius = jnp.sqrt(jnp.square(x).sum(-1))
    return (radius > 0.45) & (radius < 0.9)


def _two_moons(u: Uniform, normal: Normal) -> Drawn:
    """Two half circles that interlock, brought to [-1, 1]^2, with noise."""
    upper, angle = u[:, 0] < 0.5, math.pi * u[:, 1]
    x = jnp.where(upper, jnp.cos(angle), 1 - jnp.cos(angle))
    y = jnp.where(upper, jnp.sin(angle), 0.5 - jnp.sin(angle))
    points = jnp.stack([(x - 0.5) / 1.5, (y - 0.25) / 0.75], -1)
    return points + _NOISE * normal, ~upper


def _circles(u: Uniform, normal: Normal) -> Drawn:
    """Points around two circles with one centre."""
    inner, angle = u[:, 0] < 0.5, 2 * math.pi * u[:, 1]
    points = jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
    points = jnp.where(inner, 0.4, 0.85)[:, None] * points
    return points + _NOISE * normal, inner


def _blobs(u: Uniform, normal: Normal) -> Drawn:
    """Points around a centre and around four corners."""
    middle, corner = u[:, 0] < 0.5, jnp.where(u[:, 1:] < 0.5, -0.7, 0.7)
    return jnp.where(middle[:, None], 0.0, corner) + 2 * _NOISE * normal, middle


FUNCTIONS: dict[str, Function] = {
    "and": _uniform(_both),
    "or": _uniform(_either),
    "nand": _uniform(lambda x: ~_both(x)),
    "nor": _uniform(lambda x: ~_either(x)),
    "xor": _uniform(_differ),
    "nxor": _uniform(lambda x: ~_differ(x)),
    "rotated_and": _uniform(lambda x: _both(_turned(x))),
    "rotated_xor": _uniform(lambda x: _differ(_turned(x))),
    "cross": _uniform(lambda x: (jnp.abs(x) < _WIDTH).any(-1)),
    "triangle": _uniform(_triangle),
    "slice": _uniform(_slice),
    "circle": _uniform(_circle),
    "square": _uniform(_square),
    "ring": _uniform(_ring),
    "two_moons": _two_moons,
    "circles": _circles,
    "blobs": _blobs,
}
"""`(uniform, normal) -> (points [points, 2], is each of the second class? [points])`, by name."""
