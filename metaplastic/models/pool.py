"""Fixed nodes between layers: pooling, flattening, subsampling."""

import equinox as eqx
import jax
import jax.numpy as jnp

from . import _pooling
from .base import AbstractFixedNode


class MaxPool(AbstractFixedNode):
    """Maximum over windows of [batch, height, width, channels]; a signal goes back to the first
    maximal unit of its window. Positions that fill no window are left out."""

    window: int = eqx.field(static=True, default=2)
    stride: int = eqx.field(static=True, default=2)

    def apply(self, x: jax.Array) -> jax.Array:
        return _pooling.max_pool(x, window=self.window, stride=self.stride)


class AveragePool(AbstractFixedNode):
    """Mean over windows of [batch, height, width, channels]."""

    window: int = eqx.field(static=True, default=2)
    stride: int = eqx.field(static=True, default=2)

    def apply(self, x: jax.Array) -> jax.Array:
        return _pooling.average_pool(x, window=self.window, stride=self.stride)


class GlobalAveragePool(AbstractFixedNode):
    """Mean over all positions: [batch, height, width, channels] -> [batch, channels]."""

    def apply(self, x: jax.Array) -> jax.Array:
        return x.mean((1, 2))


class Flatten(AbstractFixedNode):
    """[batch, ...] -> [batch, units]."""

    def apply(self, x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0], -1)


class Subsample(AbstractFixedNode):
    """Every `stride`-th position, zero-padded to `channels`: the parameter-free shortcut of He et
    al. (2016), section 3.3, option A. The padding is split evenly before and after."""

    stride: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)

    def apply(self, x: jax.Array) -> jax.Array:
        x = x[:, :: self.stride, :: self.stride]
        extra = self.channels - x.shape[-1]
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (extra // 2, extra - extra // 2)))


class Identity(AbstractFixedNode):
    """The node that changes nothing."""

    def apply(self, x: jax.Array) -> jax.Array:
        return x
