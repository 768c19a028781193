"""Convolutional layer on `[batch, height, width, channels]`."""

import equinox as eqx
import jax

from .._types import Key
from . import _convolution
from ._activations import ActivationName
from ._initialisers import InitialiserName, draw
from .base import AbstractLayer
from .dense import draw_bias
from .normalisation import BatchNorm, NormMode


class Conv(AbstractLayer):
    """post = f(pre * W + b), `W` [k, k, channels, filters], `b` [filters] or None.

    `hebb` is the weight gradient of the convolution, summed over batch and output positions;
    `send_back(signal, B)` the transposed convolution with any kernel `B` [k, k, channels,
    signals].
    """

    weight: jax.Array
    bias: jax.Array | None
    norm: BatchNorm | None
    activation: ActivationName = eqx.field(static=True)
    dropout: float = eqx.field(static=True)
    stride: int = eqx.field(static=True)
    padding: int = eqx.field(static=True)

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        activation: ActivationName = "relu",
        bias: bool = False,
        norm: NormMode = "none",
        dropout: float = 0.0,
        initialiser: InitialiserName = "he_uniform",
        key: Key,
    ):
        weight_key, bias_key = jax.random.split(key)
        shape = (kernel, kernel, channels, filters)
        self.weight = draw(initialiser, shape, key=weight_key)
        self.bias = draw_bias(initialiser, shape, key=bias_key) if bias else None
        self.norm = None if norm == "none" else BatchNorm(filters, norm)
        self.activation = activation
        self.dropout = dropout
        self.stride = stride
        self.padding = padding

    def linear(self, pre: jax.Array) -> jax.Array:
        return _convolution.convolve(pre, self.weight, stride=self.stride, padding=self.padding)

    def hebb(self, pre: jax.Array, signal: jax.Array) -> jax.Array:
        return _convolution.correlate(
            pre,
            signal,
            kernel_shape=self.weight.shape,
            stride=self.stride,
            padding=self.padding,
        )

    def send_back(
        self, signal: jax.Array, weight: jax.Array, input_shape: tuple[int, ...]
    ) -> jax.Array:
        height, width, _ = input_shape
        return _convolution.send_back(
            signal,
            weight,
            input_shape=(height, width),
            stride=self.stride,
            padding=self.padding,
        )
