"""Direct feedback alignment: the output error goes straight to every hidden layer.

Nokland (2016), "Direct feedback alignment provides learning in deep neural networks", NIPS. The
kernel-shaped feedback is that of Sanfiz & Akrout (2021), "Benchmarking the accuracy and robustness
of feedback alignment algorithms"; the shared matrix that of TinyDFA in Launay, Poli & Krzakala
(2019), "Principled training of neural networks with direct feedback alignment".
"""

import math
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import UsageError
from .._properties import Properties
from .._types import Inputs, Key, Targets, Updates
from ..losses import LossName
from ..models import (
    AbstractLayer,
    AbstractNetwork,
    InitialiserName,
    LayerTrace,
    draw,
    layer_shapes,
    plastic_layers,
)
from ..models.base import Carry
from ._feedback import Feedback, angle, draw_direct_feedback, project
from ._mirror import is_dense_stack
from .base import AbstractRule, Aux, aux, local_updates, send_back, sweep


class DirectFeedbackAlignment(AbstractRule):
    """A fixed random projection of the output error stands in for every hidden layer's error.

    delta_L = e,  delta_l = (e B_l) * f'(a_l),  dW_l = pre_l^T delta_l / batch

    The error is that of one example, not divided by the batch; the mean is taken once, in dW.
    `dense` feedback reaches the activity of each layer, before pooling. `kernel` feedback has the
    kernel shape of the layer above: the error, the same at every position of that layer, is sent
    back through it to the layer's input, and on through what lies below (pooling, activation,
    normalisation, the shortcut of a residual block) down to the next layer; with dense layers the
    two are one. Not to be confused with feedback alignment, whose error visits the layers one
    after the other.

    **Locality:** pre, the slope of the post-synaptic unit, and the error vector of the output.
    **State:** B_l [classes, *units of layer l] for every hidden layer (`dense`), or
    [k, k, channels, classes] and [inputs, classes] for every layer but the first (`kernel`); fixed.

    ```bibtex
    @inproceedings{nokland2016direct,
      title={Direct feedback alignment provides learning in deep neural networks},
      author={N{\\o}kland, Arild},
      booktitle={Advances in Neural Information Processing Systems}, volume={29}, year={2016}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="no",
        nonlocal_signal="global error vector",
        backward_sweep=False,
        frozen_activity=True,
        update_locked="yes",
        stored_state=True,
        needs_slope=True,
    )

    feedback: Literal["dense", "kernel"] = eqx.field(static=True, default="dense")
    """A map to every unit, or one shaped like the kernel of the layer above. On dense layers they
    are the same rule; on convolutions they are two algorithms."""
    feedback_init: InitialiserName | Literal["uniform"] = eqx.field(
        static=True, default="he_uniform"
    )
    """Distribution of B_l, its fan-in the units of layer l (`dense`) or the kernel's inputs
    (`kernel`). `uniform`: one matrix from U(-1, 1), of which layer l takes the first columns
    (TinyDFA; `dense` only)."""
    feedback_scale: float = 1.0
    """Factor of the feedback weights."""
    sign_error: bool = eqx.field(static=True, default=False)
    """Send the sign of the error to the hidden layers; the output layer keeps the error."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output."""

    def __check_init__(self):
        if self.feedback == "kernel" and self.feedback_init == "uniform":
            raise UsageError(
                "--rule.feedback-init uniform is one matrix for all layers, which kernel-shaped "
                "feedback cannot share: use he_uniform, or --rule.feedback dense"
            )

    def init(self, model: AbstractNetwork, *, key: Key) -> Feedback:
        if self.feedback == "kernel":
            return self._draw_kernels(model, key=key)
        if self.feedback_init == "uniform":
            return self._draw_shared(model, key=key)
        return draw_direct_feedback(model, self.feedback_init, self.feedback_scale, key=key)

    def updates(
        self,
        model: AbstractNetwork,
        state: Feedback,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, Feedback, Aux]:
        del signals
        trace = model.trace(x, key=key)
        error = self._loss.error(trace.output, y)
        sent = jnp.sign(error) if self.sign_error else error
        if self.feedback == "kernel":
            updates = sweep(model, trace, error, state, _carry(sent))
        else:
            updates = local_updates(model, trace, [*project(sent, _maps(state)), error])
        return updates, state, aux(self._loss, trace, y)

    def angles(self, model: AbstractNetwork, state: Feedback) -> dict[str, jax.Array]:
        """Of B_l to the product of the weights above, slopes ignored (`W2..W3~B1`), in a stack of
        dense layers; none in other networks."""
        if not is_dense_stack(model):
            return {}
        layers = plastic_layers(model)
        maps = [b.T for b in _maps(state)] if self.feedback == "dense" else _maps(state)
        found, product = {}, jnp.eye(layers[-1].weight.shape[1], dtype=layers[-1].weight.dtype)
        for index in range(len(layers) - 1, 0, -1):
            product = layers[index].weight @ product
            above = f"W{index + 1}" + (f"..W{len(layers)}" if index + 1 < len(layers) else "")
            found[f"{above}~B{index}"] = angle(product, maps[index - 1])
        return dict(reversed(found.items()))

    def _draw_kernels(self, model: AbstractNetwork, *, key: Key) -> Feedback:
        layers = plastic_layers(model)
        classes = layers[-1].weight.shape[-1]
        keys = jax.random.split(key, len(layers))
        drawn = [
            draw(self.feedback_init, (*own.weight.shape[:-1], classes), key=k)
            for own, k in zip(layers[1:], keys[1:], strict=True)
        ]
        scaled = [
            self.feedback_scale * b.astype(own.weight.dtype)
            for own, b in zip(layers[1:], drawn, strict=True)
        ]
        return (None, *scaled)

    def _draw_shared(self, model: AbstractNetwork, *, key: Key) -> Feedback:
        *hidden, (_, (classes,)) = layer_shapes(model)
        sizes = [math.prod(shape.post) for shape in hidden]
        shared = jax.random.uniform(key, (classes, max(sizes, default=0)), minval=-1.0, maxval=1.0)
        shared = self.feedback_scale * shared.astype(plastic_layers(model)[-1].weight.dtype)
        return tuple(
            shared[:, :size].reshape(classes, *shape.post)
            for size, shape in zip(sizes, hidden, strict=True)
        )


def _maps(state: Feedback) -> list[jax.Array]:
    return [b for b in state if b is not None]


def _carry(error: jax.Array) -> Carry:
    """How a sweep sends `error` back in place of each layer's own signal."""

    def carry(
        layer: AbstractLayer, trace: LayerTrace, delta: jax.Array, feedback: jax.Array
    ) -> jax.Array:
        batch, classes = error.shape
        tiled = error.reshape(batch, *(1,) * (delta.ndim - 2), classes)
        tiled = jnp.broadcast_to(tiled, (*delta.shape[:-1], classes))
        return send_back(layer, trace, tiled, feedback)

    return carry
