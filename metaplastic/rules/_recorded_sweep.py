"""A backward sweep that keeps what it carried: the signals at both ends of every layer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from .._types import Updates
from ..models import AbstractLayer, AbstractNetwork, LayerTrace, Trace
from ..models.base import Carry


class Signals(NamedTuple):
    """What a sweep carried through one layer."""

    delta: jax.Array
    """At the layer's linear map, [batch, *units]."""
    sent: jax.Array
    """At the layer's input, [batch, *inputs]."""


def recorded_sweep(
    model: AbstractNetwork, trace: Trace, error: jax.Array, feedback: Sequence[Any], carry: Carry
) -> tuple[Updates, list[Signals]]:
    """The sweep's updates for `error` [batch, classes], and the signals of every plastic layer.

    `carry(layer, trace, delta, feedback)` is the signal at the layer's input; `feedback` holds one
    entry a plastic layer. Both in forward order.
    """
    found: dict[int, Signals] = {}

    def record(layer: AbstractLayer, own: LayerTrace, delta: Any, numbered: Any) -> jax.Array:
        index, weight = numbered
        found[index] = Signals(delta, carry(layer, own, delta, weight))
        return found[index].sent

    updates, _ = model.sweep(trace.record, error, list(enumerate(feedback)), record)
    return updates, [found[index] for index in range(len(found))]
