"""Feedback to the input: drawing it, and the second pass that it starts."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ..models import (
    AbstractLayer,
    AbstractNetwork,
    Flatten,
    Identity,
    Sequential,
    Trace,
    draw,
    layer_shapes,
)

FeedbackDistribution = Literal["he_uniform", "he_normal", "class_uniform", "positive", "ones"]


def count_inputs(model: AbstractNetwork) -> int:
    """n_0, the number of inputs. Raises `UsageError` where the network does not know it."""
    layer_shapes(model)
    assert model.input_shape is not None
    return math.prod(model.input_shape)


def draw_input_feedback(
    name: FeedbackDistribution, inputs: int, classes: int, *, key: Key
) -> jax.Array:
    """F [n_0, classes] before its scale."""
    shape = (inputs, classes)
    if name == "ones":
        return jnp.ones(shape)
    if name == "positive":
        return jr.uniform(key, shape, maxval=math.sqrt(6 / inputs))
    if name == "class_uniform":
        bound = 1 / math.sqrt(classes)
        return jr.uniform(key, shape, minval=-bound, maxval=bound)
    return draw(name, shape, key=key)


def modulated(x: jax.Array, feedback: jax.Array, modulation: jax.Array) -> jax.Array:
    """x + modulation F^T, [batch, *input], for a modulation [batch, classes]."""
    return x + (modulation @ feedback.T).reshape(x.shape)


def modulated_drive(
    model: AbstractNetwork, feedback: jax.Array, first: Trace, modulation: jax.Array
) -> jax.Array | None:
    """Drive of the first layer in the second pass: a + modulation (F^T W_1).

    The input changes within `classes` directions, whose images under the layer's linear map
    replace a second product with the whole input. None where the first layer does not meet the
    input itself, or where that product would be no dearer.
    """
    layer = _first_layer(model)
    if layer is None:
        return None
    own = first.layers[0]
    batch, classes = modulation.shape
    fan = math.prod(layer.weight.shape[:-1])
    if classes * (fan + batch) >= batch * fan:
        return None
    images = layer.linear(feedback.T.reshape(classes, *own.pre.shape[1:]))
    drive = own.drive if own.norm is None else own.norm.pre
    # `images` lack the bias, which `drive` has.
    return drive + jnp.tensordot(modulation, images, 1)


def _first_layer(model: AbstractNetwork) -> AbstractLayer | None:
    """The plastic layer that meets the (possibly flattened) input, if there is one."""
    for node in model.nodes if isinstance(model, Sequential) else ():
        if not isinstance(node, Flatten | Identity):
            return node if isinstance(node, AbstractLayer) else None
    return None
