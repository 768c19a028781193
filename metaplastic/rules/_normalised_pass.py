"""A pass in which every layer is fed with activity over its root mean square.

Hinton (2022), "The Forward-Forward algorithm", section 2.1: what a layer hands on says nothing of
its own goodness.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from .._errors import UsageError
from .._types import Key
from ..models import (
    AbstractFixedNode,
    AbstractLayer,
    AbstractNetwork,
    Dense,
    LayerTrace,
    Sequential,
    plastic_layers,
)


def normalise(post: jax.Array) -> jax.Array:
    """Activity over its root mean square (+ 1e-8), taken over all units of each example."""
    square = jnp.square(post).mean(range(1, post.ndim), keepdims=True)
    return post / (jnp.sqrt(square) + 1e-8)


def normalised_pass(
    model: AbstractNetwork, x: jax.Array, *, training: bool = False, key: Key | None = None
) -> tuple[list[LayerTrace], jax.Array]:
    """Traces of the hidden layers for inputs as they are, and what the output layer is fed with.

    Raises `UsageError` for a network that `plain_nodes` refuses.
    """
    traces: list[LayerTrace] = []
    for index, node in enumerate(plain_nodes(model)):
        if isinstance(node, AbstractFixedNode):
            x = node.apply(x)
            continue
        if len(traces) == len(plastic_layers(model)) - 1:
            break
        own = None if key is None else jax.random.fold_in(key, index)
        x, trace = node.forward(x, training=training, masks=None, first_drive=None, key=own)
        traces.append(trace)
        x = normalise(x)
    return traces, x


def plain_nodes(model: AbstractNetwork) -> Sequence[AbstractLayer | AbstractFixedNode]:
    """The nodes of a plain sequence that ends with a dense output layer.

    Raises `UsageError` for any other network, and for one without a hidden layer.
    """
    nodes = model.nodes if isinstance(model, Sequential) else ()
    plain = [node for node in nodes if isinstance(node, AbstractLayer | AbstractFixedNode)]
    whole = 0 < len(nodes) == len(plain) and isinstance(plain[-1], Dense)
    if not whole or len(plastic_layers(model)) < 2:
        raise UsageError(
            "forward_forward trains a plain sequence of layers, at least one of them hidden and "
            "the last one dense: use --model mlp, lenet or pepita_conv"
        )
    return plain
