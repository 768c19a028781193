"""Feedback that meta-learning shapes: paths from the output to the units of one layer."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Key
from ..models import AbstractNetwork, Trace, draw, plastic_layers
from ._recorded_sweep import recorded_sweep
from .base import send_back


class FeedbackPath(eqx.Module):
    """f = g(... g(s B^1 + c^1) ... B^k + c^k), [batch, *units]."""

    weights: tuple[jax.Array, ...]
    """B [from, to], the last [from, *units]."""
    biases: tuple[jax.Array, ...]
    """c [to], the last [*units]."""

    def __call__(self, signal: jax.Array, activation: Callable[[jax.Array], Any]) -> jax.Array:
        """The units' feedback for a signal [batch, outputs]."""
        for weight, bias in zip(self.weights, self.biases, strict=True):
            signal = activation(jnp.tensordot(signal, weight, 1) + bias)
        return signal


def draw_path(
    initialiser: str,
    widths: Sequence[int],
    units: tuple[int, ...],
    *,
    scale: float,
    dtype: Any,
    key: Key,
) -> FeedbackPath:
    """A path from `widths[0]` outputs over the other widths to `units`, with biases of zero."""
    shapes = [*((width,) for width in widths[1:]), units]
    keys = jax.random.split(key, len(shapes))
    weights = tuple(
        scale * draw(initialiser, (fan_in, math.prod(to)), key=own).astype(dtype).reshape(-1, *to)
        for fan_in, to, own in zip(widths, shapes, keys, strict=True)
    )
    return FeedbackPath(weights, tuple(jnp.zeros(to, dtype) for to in shapes))


def backpropagated(model: AbstractNetwork, trace: Trace, signal: jax.Array) -> list[jax.Array]:
    """`signal` [batch, outputs] at the pre-activation of every plastic layer, sent back through
    the forward weights and the slopes; constants for derivatives."""
    weights = [own.weight for own in plastic_layers(model)]
    _, found = recorded_sweep(model, trace, signal, weights, send_back)
    return [jax.lax.stop_gradient(own.delta) for own in found]
