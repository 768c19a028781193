"""Layers that behave as before but show a rule something else: weights, slopes, calls.

To find out whether a rule *reads* a quantity, the quantity alone is replaced: activity, and
hence every signal that the rule is entitled to, stays as it was.
"""

import functools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..models import AbstractLayer, AbstractNetwork, plastic_layers, with_layers
from ..models.normalisation import RunningStatistics


class Log:
    """Calls of one layer's operations."""

    def __init__(self):
        self.examples = 0
        """Examples that went forward through the layer, in all its passes."""
        self.sent_back = 0
        """Calls of `send_back`."""
        self.traced = False
        """Was any call inside a compiled loop or a vmap, where calls cannot be counted?"""

    def note(self, value: jax.Array) -> None:
        self.traced |= isinstance(value, Tracer)


def disguise(
    layer: AbstractLayer,
    *,
    weight: jax.Array | None = None,
    false_slope: bool = False,
    log: Log | None = None,
) -> AbstractLayer:
    """The layer, with `weight` in place of what a rule reads as its weight, and with a slope that
    is not the activation's; what it answers to any input is unchanged."""
    kind = _disguised(type(layer))
    own = object.__new__(kind)
    for field in type(layer).__dataclass_fields__:  # pyright: ignore[reportAttributeAccessIssue]
        object.__setattr__(own, field, getattr(layer, field))
    shown = layer.weight if weight is None else weight
    # Running statistics are the one kind of array that nobody takes for a weight.
    held = RunningStatistics(jnp.asarray(np.subtract(layer.weight, shown)), jnp.zeros(()))
    for name, value in {
        "weight": shown,
        "held": held,
        "false_slope": false_slope,
        "log": log,
    }.items():
        object.__setattr__(own, name, value)
    return own


def disguise_all(
    model: AbstractNetwork,
    *,
    weights: Sequence[jax.Array | None] | None = None,
    false_slope: bool = False,
    logs: Sequence[Log] | None = None,
) -> AbstractNetwork:
    """The network with every plastic layer disguised."""
    layers = plastic_layers(model)
    own = zip(layers, weights or [None] * len(layers), logs or [None] * len(layers), strict=True)
    return with_layers(
        model,
        [disguise(layer, weight=w, false_slope=false_slope, log=log) for layer, w, log in own],
    )


@functools.cache
def _disguised(kind: type) -> Any:
    """A subclass of a kind of layer whose operations are as `disguise` says."""

    class Disguised(kind):
        held: Any = None
        false_slope: bool = eqx.field(static=True, default=False)
        log: Any = eqx.field(static=True, default=None)

        def linear(self, pre: jax.Array) -> jax.Array:
            # The value is that of the true weight; a derivative, too, finds the weight shown.
            rest = eqx.tree_at(lambda layer: layer.weight, self, self.held.mean)
            return kind.linear(self, pre) + jax.lax.stop_gradient(kind.linear(rest, pre))

        def drive(self, pre: jax.Array) -> jax.Array:
            if self.log is not None:
                self.log.note(pre)
                self.log.examples += pre.shape[0]
            return kind.drive(self, pre)

        def send_back(
            self, signal: jax.Array, weight: jax.Array, input_shape: tuple[int, ...]
        ) -> jax.Array:
            if self.log is not None:
                self.log.note(signal)
                self.log.sent_back += 1
            return kind.send_back(self, signal, weight, input_shape)

        def activate(self, drive: jax.Array) -> jax.Array:
            if not self.false_slope or self.activation == "identity":
                return kind.activate(self, drive)
            line = _false_slope(drive) * drive
            return line + jax.lax.stop_gradient(kind.activate(self, drive) - line)

        def slope(self, drive: jax.Array) -> jax.Array:
            if not self.false_slope or self.activation == "identity":
                return kind.slope(self, drive)
            return _false_slope(drive)

    return Disguised


def _false_slope(drive: jax.Array) -> jax.Array:
    units = jnp.arange(drive.shape[-1], dtype=drive.dtype)
    return jnp.broadcast_to(0.4 + 0.5 * jnp.cos(3 * units), drive.shape)
