"""Activation functions with their slopes, written out so that a rule can name what it reads."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

ActivationName = Literal["relu", "tanh", "sigmoid", "identity"]
"""The names of activation functions."""


class Activation(NamedTuple):
    """An elementwise nonlinearity f and its derivative, both functions of the pre-activation."""

    value: Callable[[jax.Array], jax.Array]
    slope: Callable[[jax.Array], jax.Array]


def _sigmoid_slope(drive: jax.Array) -> jax.Array:
    post = jax.nn.sigmoid(drive)
    return post * (1 - post)


ACTIVATIONS: dict[str, Activation] = {
    # The slope at zero is 0, as in jax.nn.relu.
    "relu": Activation(jax.nn.relu, lambda a: (a > 0).astype(a.dtype)),
    "tanh": Activation(jnp.tanh, lambda a: 1 - jnp.tanh(a) ** 2),
    "sigmoid": Activation(jax.nn.sigmoid, _sigmoid_slope),
    "identity": Activation(lambda a: a, jnp.ones_like),
}
"""Activation functions by name."""
