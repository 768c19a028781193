"""What the synapses of a layer see of a batch: all that the terms of a pool are made of."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._types import Updates
from ..models import AbstractLayer, AbstractNetwork, LayerTrace, Trace, plastic_layers
from ..models._activations import ACTIVATIONS
from ._recorded_sweep import recorded_sweep
from .base import send_back


class Synapses:
    """What the synapses of one layer see: the only argument of a term."""

    def __init__(
        self,
        layer: AbstractLayer,
        x: jax.Array,
        y: jax.Array,
        e: jax.Array,
        sent: jax.Array,
        slope: Callable[[jax.Array], jax.Array],
    ):
        """`sent` is what the feedback brings to `x`; `slope` of an activity, below the layer."""
        self.layer = layer
        self.x = x
        """Presynaptic activity, [batch, *inputs]."""
        self.y = y
        """Postsynaptic activity, [batch, *units]; at the output that of the loss (softmax)."""
        self.e = e
        """Error at the postsynaptic units, [batch, *units]."""
        self.w = layer.weight
        """The weights; dense: [inputs, units]."""
        self._sent, self._slope = sent, slope
        self._powers: dict[tuple[str, int], jax.Array] = {}

    @functools.cached_property
    def d(self) -> jax.Array:
        """Error at the presynaptic units, [batch, *inputs]: feedback times the slope at x."""
        return self._sent * self._slope(self.x)

    @functools.cached_property
    def reconstruction(self) -> jax.Array:
        """W^T y: the activity that y would send back, [batch, *inputs]."""
        return self.layer.send_back(self.y, self.w, self.x.shape[1:])

    @functools.cached_property
    def agreement(self) -> jax.Array:
        """y^T W d, a number an example: does the error below, sent on, agree with y?"""
        return total(self.y * self.layer.linear(self.d))

    @functools.cached_property
    def drive_error(self) -> jax.Array:
        """x^T W^T e, a number an example."""
        return total(self.e * self.layer.linear(self.x))

    def power(self, name: str, exponent: int) -> jax.Array:
        """`x`, `y` or `w` to a power; the same object whoever asks."""
        own = getattr(self, name)
        if exponent == 1:
            return own
        key = name, exponent
        if key not in self._powers:
            self._powers[key] = own**exponent if exponent else jnp.ones_like(own)
        return self._powers[key]


def total(values: jax.Array) -> jax.Array:
    """The sum over all units of each example, [batch, 1, ...]."""
    return values.sum(range(1, values.ndim), keepdims=True)


def see(
    model: AbstractNetwork,
    trace: Trace,
    error: jax.Array,
    feedback: Sequence[jax.Array],
    *,
    activity: Callable[[jax.Array], jax.Array],
    direct: bool,
) -> tuple[Updates, list[Synapses]]:
    """The updates of a sweep through `feedback`, and what the synapses of every layer see of it.

    `error` is [batch, classes]; `activity` that of the loss, at the output; `direct`: feedback
    brings the error itself to the input of every layer.
    """

    def carry(layer: AbstractLayer, own: LayerTrace, delta: jax.Array, weight: Any) -> jax.Array:
        return jnp.tensordot(error, weight, 1) if direct else send_back(layer, own, delta, weight)

    swept, signals = recorded_sweep(model, trace, error, feedback, carry)
    layers = plastic_layers(model)
    posts = [own.post for own in trace.layers]
    posts[-1] = activity(posts[-1])
    seen = [
        Synapses(layer, own.pre, posts[i], *signals[i], slope=slope_below(layers, i))
        for i, (layer, own) in enumerate(zip(layers, trace.layers, strict=True))
    ]
    return swept, seen


def slope_below(layers: Sequence[AbstractLayer], index: int) -> Callable[[jax.Array], jax.Array]:
    """The slope of the units below a layer as a function of their activity.

    Below the first layer are the inputs, taken as its like; layers without a nonlinearity of their
    own (the end of a residual block) have that of the first. Both may have values that no unit of
    it has, below 0 for softplus or beyond 1 for tanh, where that function is negative and grows
    without bound: there the slope is 0, as where a unit is saturated.
    """
    below = layers[max(index - 1, 0)].activation
    if index > 0 and below != "identity":
        return ACTIVATIONS[below].slope_at_post
    slope = ACTIVATIONS[layers[0].activation].slope_at_post
    return lambda activity: jnp.maximum(slope(activity), 0)
