"""Initial distributions of synaptic weights, for forward and for feedback weights alike.

A shape is `[..., inputs, outputs]`: dense `[n_in, n_out]`, convolution `[k, k, c_in, c_out]`, so
`fan_in` is the product of all but the last axis and `fan_out` the product of all but the
second-to-last.
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key

InitialiserName = Literal[
    "he_uniform",
    "he_normal",
    "xavier_uniform",
    "xavier_normal",
    "lecun_normal",
    "fan_out_normal",
    "fan_in",
    "zeros",
]
"""The names of distributions; `standard_deviation` says what each is."""
INITIALISERS: tuple[str, ...] = InitialiserName.__args__  # pyright: ignore[reportAttributeAccessIssue]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """`(fan_in, fan_out)` of a weight of this shape."""
    receptive = math.prod(shape[:-2])
    return receptive * shape[-2], receptive * shape[-1]


def standard_deviation(name: str, shape: tuple[int, ...]) -> float:
    """Standard deviation of the named distribution for a weight of this shape.

    `he_*`: sqrt(2/fan_in); `xavier_*`: sqrt(2/(fan_in+fan_out)); `lecun_normal`: sqrt(1/fan_in);
    `fan_out_normal`: sqrt(1/fan_out);
    `fan_in`: U(+-1/sqrt(fan_in)), the usual default of dense and convolutional layers elsewhere.
    """
    fan_in, fan_out = fans(shape)
    return {
        "he_uniform": math.sqrt(2 / fan_in),
        "he_normal": math.sqrt(2 / fan_in),
        "xavier_uniform": math.sqrt(2 / (fan_in + fan_out)),
        "xavier_normal": math.sqrt(2 / (fan_in + fan_out)),
        "lecun_normal": math.sqrt(1 / fan_in),
        "fan_out_normal": math.sqrt(1 / fan_out),
        "fan_in": math.sqrt(1 / (3 * fan_in)),
        "zeros": 0.0,
    }[name]


def draw(name: str, shape: tuple[int, ...], *, key: Key) -> jax.Array:
    """A weight of this shape from the named distribution."""
    scale = standard_deviation(name, shape)
    if name == "zeros":
        return jnp.zeros(shape)
    if name.endswith("normal"):
        return scale * jr.normal(key, shape)
    return jr.uniform(key, shape, minval=-1.0, maxval=1.0) * (scale * math.sqrt(3))
