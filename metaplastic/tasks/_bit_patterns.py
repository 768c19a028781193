"""What the tasks of bit patterns share: coding, drawing two different ones, and their stream."""

from typing import Literal

import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from .base import Stream

Variant = Literal["paper", "released"]
"""As the paper's text describes a task, or as its released code computes it."""
Order = Literal["alternating", "random"]
LARGEST = 30


def check_bits(bits: int, smallest: int = 1) -> None:
    """Raise `UsageError` for patterns too short or too long to draw."""
    if not smallest <= bits <= LARGEST:
        raise UsageError(
            f"--task.bits {bits}: patterns of {smallest} to {LARGEST} bits can be drawn"
        )


def coded(index: jax.Array, bits: int, variant: Variant) -> jax.Array:
    """Patterns [..., bits] numbered by `index`: 0/1 in the paper's text, -1/+1 in its code."""
    ones = (index[..., None] >> jnp.arange(bits, dtype=index.dtype)) & 1
    ones = ones.astype(float)
    return ones if variant == "paper" else 2 * ones - 1


def two_patterns(key: Key, bits: int, variant: Variant) -> jax.Array:
    """Two patterns that differ in at least one bit, [2, bits]."""
    # The second is drawn among those that are left.
    limit = jnp.array([2**bits, 2**bits - 1], jnp.int32)
    first, second = jr.randint(key, (2,), 0, limit)
    second = jnp.where(second < first, second, second + 1)
    return coded(jnp.stack([first, second]), bits, variant)


def alternation(moments: int) -> jax.Array:
    """Class shown at each moment, 0 at even and 1 at odd ones, [moments]."""
    return jnp.arange(moments, dtype=jnp.int32) % 2


def labels(key: Key, order: Order, told: jax.Array) -> tuple[jax.Array, Key]:
    """Class at each moment, [moments], and the key for what else is drawn: strictly in turn, or
    drawn wherever it is not `told`."""
    turns = alternation(told.shape[0])
    if order == "alternating":
        return turns, key
    key, order_key = jr.split(key)
    drawn = jr.bernoulli(order_key, 0.5, told.shape).astype(turns.dtype)
    return jnp.where(told, turns, drawn), key


def presentations(
    patterns: jax.Array, shown: jax.Array, label: jax.Array, told: jax.Array
) -> Stream:
    """Stream of labelled patterns: inputs are [label (2), pattern (bits)].

    At moment t, pattern `shown[t]` of `patterns` [2, bits] stands there under class `label[t]`;
    where `told[t]` is true the class is part of the input (and the answer is not judged),
    elsewhere there are zeros in its place.
    """
    target = jax.nn.one_hot(label, 2, dtype=patterns.dtype)
    given = target * told[:, None].astype(patterns.dtype)
    x = jnp.concatenate([given, patterns[shown]], axis=1)
    return Stream(x[:, None], None, target[:, None], 1 - told.astype(patterns.dtype))
