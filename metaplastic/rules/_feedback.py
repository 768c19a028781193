"""What rules with feedback weights share: drawing them, and their angles to the forward weights."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._types import Key
from ..models import AbstractLayer, AbstractNetwork, draw, layer_shapes, plastic_layers

Feedback = tuple[jax.Array | None, ...]
"""One weight a plastic layer, in forward order and of the forward weight's shape; the first
layer sends nothing back, so its entry is None."""


def draw_feedback(model: AbstractNetwork, initialiser: str, scale: float, *, key: Key) -> Feedback:
    """Feedback weights of the forward weights' shapes, from the named distribution."""
    return (None, *draw_like(plastic_layers(model)[1:], initialiser, scale, key=key))


def draw_like(
    layers: Sequence[AbstractLayer], initialiser: str, scale: float, *, key: Key
) -> tuple[jax.Array, ...]:
    """Feedback weights of the shapes that the weights of these layers have."""
    keys = jax.random.split(key, max(len(layers), 1))
    return tuple(
        scale * draw(initialiser, layer.weight.shape, key=k).astype(layer.weight.dtype)
        for layer, k in zip(layers, keys, strict=False)
    )


def draw_direct_feedback(
    model: AbstractNetwork, initialiser: str, scale: float, *, key: Key
) -> tuple[jax.Array, ...]:
    """A map `B_l` [classes, *units of layer l] for every layer but the last."""
    *hidden, (_, (classes,)) = layer_shapes(model)
    dtype = plastic_layers(model)[-1].weight.dtype
    shapes = [shape.post for shape in hidden]
    return draw_maps(classes, shapes, initialiser, scale, dtype=dtype, key=key)


def draw_maps(
    classes: int,
    shapes: Sequence[tuple[int, ...]],
    initialiser: str,
    scale: float,
    *,
    dtype: Any,
    key: Key,
) -> tuple[jax.Array, ...]:
    """A map [classes, *units] to units of each of these shapes.

    The fan-in of a map is the number of units that it reaches: He uniform is
    U(+-sqrt(6/units)).
    """
    keys = jax.random.split(key, max(len(shapes), 1))
    drawn = [
        draw(initialiser, (math.prod(shape), classes), key=k).astype(dtype)
        for shape, k in zip(shapes, keys, strict=False)
    ]
    return tuple(
        scale * b.T.reshape(classes, *shape) for b, shape in zip(drawn, shapes, strict=True)
    )


def project(vector: jax.Array, maps: Sequence[jax.Array]) -> list[jax.Array]:
    """Carry `vector` [batch, classes] to the units of each layer by its own map."""
    return [jnp.tensordot(vector, b, 1) for b in maps]


def own_key(key: Key) -> Key:
    """A key for a rule's own draws in one step, apart from the dropout masks that `key` gives."""
    return jax.random.fold_in(key, 0x52756C65)


def angle(a: jax.Array, b: jax.Array) -> jax.Array:
    """Angle between two arrays of one shape, flattened, in degrees; 90 where one is zero."""
    a, b = a.reshape(-1), b.reshape(-1)
    norms = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    cosine = jnp.where(norms > 0, a @ b / jnp.where(norms > 0, norms, 1), 0.0)
    return jnp.degrees(jnp.arccos(jnp.clip(cosine, -1, 1)))


def feedback_sizes(model: AbstractNetwork, feedback: Feedback) -> dict[str, jax.Array]:
    """|B_l|/|W_l| (Frobenius) for each layer that sends a signal back (`|B2|/|W2|`, …)."""
    return {
        f"|B{index + 1}|/|W{index + 1}|": norm(back) / norm(layer.weight)
        for index, (layer, back) in enumerate(zip(plastic_layers(model), feedback, strict=True))
        if back is not None
    }


def norm(weight: jax.Array) -> jax.Array:
    """Frobenius norm."""
    return jnp.linalg.norm(weight.reshape(-1))


def feedback_angles(model: AbstractNetwork, feedback: Feedback) -> dict[str, jax.Array]:
    """Angle between W_l and B_l for each layer that sends a signal back (`W2~B2`, …)."""
    return {
        f"W{index + 1}~B{index + 1}": angle(layer.weight, back)
        for index, (layer, back) in enumerate(zip(plastic_layers(model), feedback, strict=True))
        if back is not None
    }
