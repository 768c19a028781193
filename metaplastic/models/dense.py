"""Dense layer: every presynaptic unit meets every postsynaptic one."""

import equinox as eqx
import jax

from .._types import Key
from ._activations import ActivationName
from ._initialisers import InitialiserName, draw
from .base import AbstractLayer
from .normalisation import BatchNorm, NormMode


class Dense(AbstractLayer):
    """post = f(pre W + b), with `W` [inputs, units] and `b` [units] or None.

    `hebb(pre, signal) = pre^T signal`; `send_back(signal, B) = signal B^T` for `B` [inputs, units].
    """

    weight: jax.Array
    bias: jax.Array | None
    norm: BatchNorm | None
    activation: ActivationName = eqx.field(static=True)
    dropout: float = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        activation: ActivationName = "relu",
        bias: bool = False,
        norm: NormMode = "none",
        dropout: float = 0.0,
        initialiser: InitialiserName = "he_uniform",
        key: Key,
    ):
        """`bias` starts at zero, or at U(+-1/sqrt(inputs)) under the `fan_in` initialiser."""
        weight_key, bias_key = jax.random.split(key)
        self.weight = draw(initialiser, (inputs, units), key=weight_key)
        self.bias = draw_bias(initialiser, (inputs, units), key=bias_key) if bias else None
        self.norm = None if norm == "none" else BatchNorm(units, norm)
        self.activation = activation
        self.dropout = dropout

    def linear(self, pre: jax.Array) -> jax.Array:
        return pre @ self.weight

    def hebb(self, pre: jax.Array, signal: jax.Array) -> jax.Array:
        return pre.T @ signal

    def send_back(
        self, signal: jax.Array, weight: jax.Array, input_shape: tuple[int, ...]
    ) -> jax.Array:
        del input_shape
        return signal @ weight.T


def draw_bias(initialiser: str, shape: tuple[int, ...], *, key: Key) -> jax.Array:
    """Initial biases [units] for a weight of this shape: U(+-1/sqrt(fan_in)) under the `fan_in`
    initialiser, zeros under every other."""
    name = "fan_in" if initialiser == "fan_in" else "zeros"
    return draw(name, shape, key=key).reshape(-1, shape[-1])[0]
