"""Patterns shown again and again, then a part of one: the stream of the tasks of recall."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key
from ._counts import check_counts
from .base import Stream


def check_times(what: str, task: Any) -> None:
    """Raise `UsageError` for numbers of patterns (the option `what`) and moments that cannot be."""
    check_counts(task, what, "cycles", "on", "cue")
    if task.off < 0:
        raise UsageError(f"--task.off {task.off}: a number of moments is not negative")


def recall(
    patterns: Float[Array, "patterns size"],
    spoil: Callable[[Array], Array],
    *,
    cycles: int,
    on: int,
    off: int,
    cue: int,
    key: Key,
) -> Stream:
    """Stream of cycles * patterns * (on + off) + cue moments, of which the last is judged.

    In each cycle the patterns come in a new random order, `on` moments each and `off` moments of
    zeros after it. Then `spoil` of a pattern drawn at random stands there for `cue` moments; the
    target is that pattern, at the last moment alone.
    """
    order_key, asked_key = jr.split(key)
    count, size = patterns.shape
    orders = jax.vmap(lambda own: jr.permutation(own, count))(jr.split(order_key, cycles))
    shown = patterns[orders.reshape(-1)]
    blank = jnp.zeros((shown.shape[0], off, size), patterns.dtype)
    steady = jnp.broadcast_to(shown[:, None], (shown.shape[0], on, size))
    lesson = jnp.concatenate([steady, blank], axis=1).reshape(-1, size)
    asked = patterns[jr.randint(asked_key, (), 0, count)]
    x = jnp.concatenate([lesson, jnp.broadcast_to(spoil(asked), (cue, size))])
    weight = (jnp.arange(x.shape[0]) == x.shape[0] - 1).astype(patterns.dtype)
    target = jnp.broadcast_to(asked, (x.shape[0], 1, size))
    return Stream(x[:, None], None, target, weight)
