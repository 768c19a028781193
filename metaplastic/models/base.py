"""Networks that leave a trace: what a learning rule may see, and the operations of a layer.

A network is a tree of nodes. *Plastic layers* (`AbstractLayer`: dense, convolution) hold
synapses; *fixed nodes* (pooling, flattening) hold none; *composite nodes* (sequence, residual
block) hold other nodes and offer the same operations by recursion. A rule never asks which kind
of layer it has before it:

| operation of a layer | dense | convolution |
|---|---|---|
| `drive(pre)`: linear map of presynaptic activity | `pre W + b` | convolution |
| `hebb(pre, signal)`: pre times a postsynaptic signal | `pre^T signal` | weight gradient |
| `send_back(signal, B)`: signal at pre, by any weight | `signal B^T` | transposed convolution |
| `activate`, `slope`: nonlinearity and its derivative | | |
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import UsageError
from .._types import Key, Updates
from ._activations import ACTIVATIONS
from ._dropout import dropout_mask
from ._trace import FixedTrace, LayerTrace as LayerTrace, Trace as Trace, collect
from ._weights import is_weight as is_weight, weights as weights, zero_updates as zero_updates
from .normalisation import BatchNorm, NormTrace

Carry = Callable[["AbstractLayer", LayerTrace, jax.Array, jax.Array], jax.Array]
"""`(layer, trace, delta, feedback) -> signal at the layer's input`: how a sweep goes back."""


class AbstractNode(eqx.Module):
    """A part of a network: maps activity to activity and keeps a record of how."""

    @abc.abstractmethod
    def forward(
        self,
        x: jax.Array,
        *,
        training: bool,
        masks: Any,
        first_drive: jax.Array | None,
        key: Key | None,
    ) -> tuple[jax.Array, Any]:
        """`(activity, record)`.

        `masks` is a record of an earlier pass whose dropout masks are used again (or None);
        `first_drive` replaces the linear map of the first plastic layer met (or None).
        """

    @abc.abstractmethod
    def sweep(
        self, record: Any, signal: jax.Array, feedback: Sequence[Any], carry: Carry
    ) -> tuple[Updates, jax.Array]:
        """`(updates, signal at the input)` for a teaching signal at the output.

        `feedback` holds one entry a plastic layer of this node, in forward order.
        """


class AbstractLayer(AbstractNode):
    """A layer of synapses: linear map, optional normalisation, activation, optional dropout."""

    weight: eqx.AbstractVar[jax.Array]
    bias: eqx.AbstractVar[jax.Array | None]
    norm: eqx.AbstractVar[BatchNorm | None]
    activation: eqx.AbstractVar[str]
    dropout: eqx.AbstractVar[float]

    @abc.abstractmethod
    def linear(self, pre: jax.Array) -> jax.Array:
        """The map of presynaptic activity without bias, [batch, *units]."""

    @abc.abstractmethod
    def hebb(self, pre: jax.Array, signal: jax.Array) -> jax.Array:
        """Correlation of `pre` with a postsynaptic `signal`, shaped like the weight; summed over
        the batch (and over positions)."""

    @abc.abstractmethod
    def send_back(
        self, signal: jax.Array, weight: jax.Array, input_shape: tuple[int, ...]
    ) -> jax.Array:
        """Carry `signal` [batch, *units] back to `[batch, *input_shape]` through `weight`."""

    def drive(self, pre: jax.Array) -> jax.Array:
        """`linear(pre) + bias`."""
        drive = self.linear(pre)
        return drive if self.bias is None else drive + self.bias

    def activate(self, drive: jax.Array) -> jax.Array:
        """The activation function f."""
        return ACTIVATIONS[self.activation].value(drive)

    def slope(self, drive: jax.Array) -> jax.Array:
        """The derivative f' at a pre-activation."""
        return ACTIVATIONS[self.activation].slope(drive)

    def forward(
        self,
        x: jax.Array,
        *,
        training: bool,
        masks: Any,
        first_drive: jax.Array | None,
        key: Key | None,
    ) -> tuple[jax.Array, LayerTrace]:
        drive = self.drive(x) if first_drive is None else first_drive
        norm = None
        if self.norm is not None:
            drive, norm = self.norm(drive, training=training)
        post = self.activate(drive)
        mask = None if masks is None else masks.mask
        if training and self.dropout > 0 and mask is None:
            if key is None:
                raise ValueError(
                    f"a layer with dropout={self.dropout} needs a key in training: pass `key=`"
                )
            mask = dropout_mask(post.shape, self.dropout, post.dtype, key=key)
        if mask is not None:
            post = post * mask
        return post, LayerTrace(x, drive, post, mask, norm)

    def local_error(self, record: LayerTrace, signal: jax.Array) -> jax.Array:
        """The signal at the pre-activation for a signal at `post`: `signal * mask * f'(a)`."""
        if record.mask is not None:
            signal = signal * record.mask
        return signal if self.activation == "identity" else signal * self.slope(record.drive)

    def learn(
        self, pre: jax.Array, delta: jax.Array, *, norm: NormTrace | None = None
    ) -> tuple["AbstractLayer", jax.Array]:
        """Updates of the layer for a signal `delta` at its pre-activation, descent sign.

        `dW = hebb(pre, delta) / batch`, `db = sum(delta) / batch`. This is the one place that
        divides by the batch. Returns `(updates, delta at the linear map)`, which differ from
        `delta` only where a normalisation lies between.
        """
        batch = pre.shape[0]
        norm_update = None
        if self.norm is not None:
            if norm is None:
                raise ValueError("this layer normalises: pass `norm=` of the trace to `learn`")
            norm_update, delta = self.norm.learn(norm, delta)
        bias = None if self.bias is None else delta.sum(range(delta.ndim - 1)) / batch
        update = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias, layer.norm),
            eqx.filter(self, lambda _: False),
            (self.hebb(pre, delta) / batch, bias, norm_update),
            is_leaf=lambda leaf: leaf is None,
        )
        return update, delta

    def sweep(
        self, record: LayerTrace, signal: jax.Array, feedback: Sequence[Any], carry: Carry
    ) -> tuple[Updates, jax.Array]:
        delta = self.local_error(record, signal)
        update, delta = self.learn(record.pre, delta, norm=record.norm)
        return update, carry(self, record, delta, feedback[0])


class AbstractFixedNode(AbstractNode):
    """A node without synapses; a signal goes back through the transpose of its derivative."""

    @abc.abstractmethod
    def apply(self, x: jax.Array) -> jax.Array:
        """The node's map, [batch, ...] -> [batch, ...]."""

    def back(self, pre: jax.Array, signal: jax.Array) -> jax.Array:
        """The signal at the input; the vector-Jacobian product of `apply`."""
        return jax.vjp(self.apply, pre)[1](signal)[0]

    def forward(
        self,
        x: jax.Array,
        *,
        training: bool,
        masks: Any,
        first_drive: jax.Array | None,
        key: Key | None,
    ) -> tuple[jax.Array, FixedTrace]:
        del training, masks, first_drive, key
        return self.apply(x), FixedTrace(x)

    def sweep(
        self, record: FixedTrace, signal: jax.Array, feedback: Sequence[Any], carry: Carry
    ) -> tuple[Updates, jax.Array]:
        del feedback, carry
        return eqx.filter(self, lambda _: False), self.back(record.pre, signal)


class AbstractNetwork(AbstractNode):
    """A node that is a whole network: callable, and traced."""

    input_shape: eqx.AbstractVar[tuple[int, ...] | None]
    """Shape of one input, without the batch; None where it is not known."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """The output [batch, classes] without dropout; statistics of normalisation are used,
        not gathered."""
        return self.forward(x, training=False, masks=None, first_drive=None, key=None)[0]

    def trace(
        self,
        x: jax.Array,
        *,
        masks: Trace | None = None,
        first_drive: jax.Array | None = None,
        key: Key | None = None,
    ) -> Trace:
        """A training pass on `x` [batch, *input].

        With `masks`, the dropout masks of that earlier trace are used again; otherwise they are
        drawn from `key` (the same key gives the same masks under every rule).
        """
        output, record = self.forward(
            x,
            training=True,
            masks=None if masks is None else masks.record,
            first_drive=first_drive,
            key=key,
        )
        return Trace(record, output)


def plastic_layers(node: Any) -> list[AbstractLayer]:
    """The plastic layers of a network (or of its updates), in forward order."""
    return collect(node, AbstractLayer)


class LayerShape(NamedTuple):
    """Shapes of one plastic layer's activity, without the batch."""

    pre: tuple[int, ...]
    """Of its input."""
    post: tuple[int, ...]
    """Of its units."""


def layer_shapes(model: AbstractNetwork) -> list[LayerShape]:
    """What each plastic layer's activity is shaped like, in forward order; nothing is computed.

    Raises `UsageError` where the network does not know the shape of its input.
    """
    if model.input_shape is None:
        raise UsageError(
            "this network does not know the shape of its input: build it with "
            "Sequential(..., input_shape=(height, width, channels)), as mlp and the others do"
        )
    shape, dtype = (1, *model.input_shape), plastic_layers(model)[0].weight.dtype
    trace = eqx.filter_eval_shape(
        lambda own: own.trace(jnp.zeros(shape, dtype), key=jax.random.key(0)), model
    )
    return [LayerShape(own.pre.shape[1:], own.post.shape[1:]) for own in trace.layers]


def with_layers(model: Any, layers: Sequence[Any]) -> Any:
    """`model` with its plastic layers replaced by `layers`, in forward order."""
    return eqx.tree_at(plastic_layers, model, list(layers))
