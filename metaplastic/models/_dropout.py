"""Inverted dropout masks that can be kept and reused across passes."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key


def dropout_mask(shape: tuple[int, ...], rate: float, dtype: jnp.dtype, *, key: Key) -> jax.Array:
    """A mask of 0 (with probability `rate`) and 1/(1-rate), of the given shape.

    Each random word serves two units: 16 bits settle `rate` to within 2^-17, and drawing the
    bits is what a mask costs.
    """
    size = math.prod(shape)
    words = jr.bits(key, ((size + 1) // 2,), jnp.uint32)
    halves = jnp.stack([words & 0xFFFF, words >> 16])
    threshold = round(rate * 65536)
    kept = (halves.reshape(-1)[:size] >= threshold).reshape(shape)
    return kept.astype(dtype) * jnp.asarray(1 / (1 - rate), dtype)
