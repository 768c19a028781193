"""Images by class on the device, and how they become inputs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._types import Key
from ..data import ImageClasses


class Bank(eqx.Module):
    """Images by class on the device, in the type in which they are stored."""

    images: jax.Array
    """[n, height, width, channels], one class after the other."""
    first: jax.Array
    """Where each class begins, [classes]."""
    count: jax.Array
    """Images of each class, [classes]."""
    offset: jax.Array
    """Input = image * factor + offset, per channel."""
    factor: jax.Array
    classes: int = eqx.field(static=True)
    most: int = eqx.field(static=True)
    """Images of the largest class."""
    fewest: int = eqx.field(static=True)

    def __init__(self, own: ImageClasses, offset: np.ndarray, factor: np.ndarray):
        self.images = jnp.asarray(own.images)
        self.first = jnp.asarray(np.cumsum(own.counts) - own.counts, jnp.int32)
        self.count = jnp.asarray(own.counts, jnp.int32)
        self.offset, self.factor = jnp.asarray(offset), jnp.asarray(factor)
        self.classes = len(own.counts)
        self.most, self.fewest = int(own.counts.max()), int(own.counts.min())

    def draw(self, classes: jax.Array, number: int, *, alike: bool = False, key: Key) -> jax.Array:
        """`number` different images of each class, by their place in the bank, [ways, number].

        `alike`: a class that is asked for twice has the same images twice.
        """
        if alike:
            own = jax.vmap(lambda c: self.draw(c[None], number, key=jr.fold_in(key, c))[0])
            return own(classes)
        score = jr.uniform(key, (classes.shape[0], self.most))
        there = jnp.arange(self.most, dtype=jnp.int32) < self.count[classes, None]
        score = jnp.where(there, score, -1.0)
        return self.first[classes, None] + jax.lax.top_k(score, number)[1].astype(jnp.int32)

    def inputs(self, index: jax.Array) -> jax.Array:
        """Images by their place as inputs of a network, [..., height, width, channels]."""
        return self.images[index].astype(self.factor.dtype) * self.factor + self.offset


def affine(own: ImageClasses, invert: bool, standardise: bool) -> tuple[np.ndarray, np.ndarray]:
    """`(offset, factor)`, per channel or feature, in float32."""
    channels = own.images.shape[-1]
    factor, offset = np.full(channels, 1 / own.scale), np.zeros(channels)
    if invert:
        factor, offset = -factor, offset + 1
    if standardise:
        values = own.images.reshape(-1, channels)
        mean = values.mean(0, dtype=np.float64) * factor + offset
        std = values.std(0, dtype=np.float64) * np.abs(factor)
        std = np.where(std > 0, std, 1.0)  # a channel that never varies stays at zero
        factor, offset = factor / std, (offset - mean) / std
    return offset.astype(np.float32), factor.astype(np.float32)


def turned(images: jax.Array, quarters: jax.Array) -> jax.Array:
    """Images [ways, n, side, side, channels], those of each class by so many quarter turns."""
    turns = [jnp.rot90(images, k, axes=(2, 3)) for k in range(4)]
    own = quarters[:, None, None, None, None]
    return jnp.select([own == k for k in range(4)], turns)
