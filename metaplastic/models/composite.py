"""Composite nodes: a sequence, and a residual block; the operations of a node by recursion."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax

from .._errors import UsageError
from .._types import Key, Updates
from ._activations import ACTIVATIONS, ActivationName
from .base import AbstractNetwork, AbstractNode, Carry, plastic_layers


class Sequential(AbstractNetwork):
    """Nodes one after the other; `input_shape` is needed by rules that ask `layer_shapes`."""

    nodes: tuple[AbstractNode, ...]
    input_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, *nodes: AbstractNode, input_shape: Sequence[int] | None = None):
        self.nodes = nodes
        self.input_shape = None if input_shape is None else tuple(input_shape)

    def forward(
        self,
        x: jax.Array,
        *,
        training: bool,
        masks: Any,
        first_drive: jax.Array | None,
        key: Key | None,
    ) -> tuple[jax.Array, tuple]:
        records = []
        for index, node in enumerate(self.nodes):
            x, record = node.forward(
                x,
                training=training,
                masks=None if masks is None else masks[index],
                first_drive=first_drive,
                key=None if key is None else jax.random.fold_in(key, index),
            )
            records.append(record)
            if plastic_layers(node):
                first_drive = None
        return x, tuple(records)

    def sweep(
        self, record: tuple, signal: jax.Array, feedback: Sequence[Any], carry: Carry
    ) -> tuple[Updates, jax.Array]:
        updates, end = [], len(feedback)
        for node, own in zip(reversed(self.nodes), reversed(record), strict=True):
            start = end - len(plastic_layers(node))
            update, signal = node.sweep(own, signal, feedback[start:end], carry)
            updates.append(update)
            end = start
        return eqx.tree_at(lambda s: s.nodes, self, tuple(reversed(updates))), signal


class ResidualTrace(eqx.Module):
    """Records of body and shortcut, and the sum before the activation."""

    body: Any
    shortcut: Any
    drive: jax.Array


class Residual(AbstractNode):
    """f(body(x) + shortcut(x)). He et al. (2016), section 3.2."""

    body: AbstractNode
    shortcut: AbstractNode
    activation: ActivationName = eqx.field(static=True, default="relu")

    def forward(
        self,
        x: jax.Array,
        *,
        training: bool,
        masks: Any,
        first_drive: jax.Array | None,
        key: Key | None,
    ) -> tuple[jax.Array, ResidualTrace]:
        if first_drive is not None:
            raise ValueError("a residual block has no single first layer to replace the drive of")
        keys = (None, None) if key is None else jax.random.split(key)
        body, body_record = self.body.forward(
            x,
            training=training,
            masks=None if masks is None else masks.body,
            first_drive=None,
            key=keys[0],
        )
        shortcut, shortcut_record = self.shortcut.forward(
            x,
            training=training,
            masks=None if masks is None else masks.shortcut,
            first_drive=None,
            key=keys[1],
        )
        drive = body + shortcut
        post = ACTIVATIONS[self.activation].value(drive)
        return post, ResidualTrace(body_record, shortcut_record, drive)

    def sweep(
        self, record: ResidualTrace, signal: jax.Array, feedback: Sequence[Any], carry: Carry
    ) -> tuple[Updates, jax.Array]:
        delta = signal * ACTIVATIONS[self.activation].slope(record.drive)
        count = len(plastic_layers(self.body))
        body, through_body = self.body.sweep(record.body, delta, feedback[:count], carry)
        shortcut, through_shortcut = self.shortcut.sweep(
            record.shortcut, delta, feedback[count:], carry
        )
        update = eqx.tree_at(lambda r: (r.body, r.shortcut), self, (body, shortcut))
        return update, through_body + through_shortcut


def split(model: AbstractNetwork, layers: int) -> tuple[Sequential | None, AbstractNetwork]:
    """`(front, back)` of a network, the front with its first `layers` plastic layers; None and the
    network itself for 0.

    Fixed nodes after the cut (pooling, flattening) belong to the front. Raises `UsageError` where
    the network has no more than `layers` plastic layers, or no seam after that many.
    """
    if layers == 0:
        return None, model
    total = len(plastic_layers(model))
    if not 0 < layers < total:
        raise UsageError(
            f"{layers} of {total} plastic layers cannot be split off: at least one must be left"
        )
    if not isinstance(model, Sequential):
        raise UsageError(f"a {type(model).__name__} cannot be split: build it with Sequential")
    met = 0
    for index, node in enumerate(model.nodes):
        count = len(plastic_layers(node))
        if met == layers and count:
            front = Sequential(*model.nodes[:index], input_shape=model.input_shape)
            return front, Sequential(*model.nodes[index:], input_shape=_output_shape(front))
        met += count
    raise UsageError(f"this network has no seam after {layers} plastic layers: a block lies across")


def _output_shape(front: Sequential) -> tuple[int, ...] | None:
    if front.input_shape is None:
        return None
    dtype = plastic_layers(front)[0].weight.dtype
    probe = jax.ShapeDtypeStruct((1, *front.input_shape), dtype)
    return eqx.filter_eval_shape(lambda own, x: own(x), front, probe).shape[1:]
