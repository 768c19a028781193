"""What the weights of a lifetime start from."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Key
from ..models import AbstractNetwork, InitialiserName, draw, plastic_layers, with_layers

Start = Literal["learned", "fresh_head", "fresh", "zero"]


def born(
    model: AbstractNetwork, start: Start, redraw: InitialiserName, *, key: Key
) -> AbstractNetwork:
    """The network at the start of a lifetime; what is fresh is drawn from `redraw`."""
    if start == "learned":
        return model
    first = len(plastic_layers(model)) - 1 if start == "fresh_head" else 0
    layers = plastic_layers(model)
    for index, layer in list(enumerate(layers))[first:]:
        own, shape = jax.random.fold_in(key, index), layer.weight.shape
        weight = draw("zeros" if start == "zero" else redraw, shape, key=own)
        layer = eqx.tree_at(lambda own: own.weight, layer, weight.astype(layer.weight.dtype))
        if layer.bias is not None and start != "fresh_head":
            layer = eqx.tree_at(lambda own: own.bias, layer, jnp.zeros_like(layer.bias))
        layers[index] = layer
    return with_layers(model, layers)
