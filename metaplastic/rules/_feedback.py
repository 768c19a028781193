"""What rules with feedback weights share: drawing them, and their angles to the forward weights."""

import jax
import jax.numpy as jnp

from .._types import Key
from ..models import AbstractNetwork, draw, plastic_layers

Feedback = tuple[jax.Array | None, ...]
"""One weight a plastic layer, in forward order and of the forward weight's shape; the first
layer sends nothing back, so its entry is None."""


def draw_feedback(model: AbstractNetwork, initialiser: str, scale: float, *, key: Key) -> Feedback:
    """Feedback weights of the forward weights' shapes, from the named distribution."""
    upper = plastic_layers(model)[1:]
    keys = jax.random.split(key, max(len(upper), 1))
    return (
        None,
        *(
            scale * draw(initialiser, layer.weight.shape, key=k).astype(layer.weight.dtype)
            for layer, k in zip(upper, keys, strict=False)
        ),
    )


def angle(a: jax.Array, b: jax.Array) -> jax.Array:
    """Angle between two arrays of one shape, flattened, in degrees; 90 where one is zero."""
    a, b = a.reshape(-1), b.reshape(-1)
    norms = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    cosine = jnp.where(norms > 0, a @ b / jnp.where(norms > 0, norms, 1), 0.0)
    return jnp.degrees(jnp.arccos(jnp.clip(cosine, -1, 1)))


def feedback_angles(model: AbstractNetwork, feedback: Feedback) -> dict[str, jax.Array]:
    """Angle between W_l and B_l for each layer that sends a signal back (`W2~B2`, …)."""
    return {
        f"W{index + 1}~B{index + 1}": angle(layer.weight, back)
        for index, (layer, back) in enumerate(zip(plastic_layers(model), feedback, strict=True))
        if back is not None
    }
