"""Activation functions with their slopes, written out so that a rule can name what it reads."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

ActivationName = Literal["relu", "tanh", "sigmoid", "softplus", "identity"]
"""The names of activation functions."""


class Activation(NamedTuple):
    """An elementwise nonlinearity f and its derivative, both functions of the pre-activation."""

    value: Callable[[jax.Array], jax.Array]
    slope: Callable[[jax.Array], jax.Array]
    slope_at_post: Callable[[jax.Array], jax.Array]
    """The derivative as a function of the activity f(a), which is all that a synapse sees."""


SHARPNESS = 10.0
"""Of the softplus; the larger, the closer to a rectifier (Shervani-Tabar & Rosenbaum 2023)."""


def _sigmoid_slope_at_post(post: jax.Array) -> jax.Array:
    return post * (1 - post)


def _positive(x: jax.Array) -> jax.Array:
    return (x > 0).astype(x.dtype)


ACTIVATIONS: dict[str, Activation] = {
    # The slope at zero is 0, as in jax.nn.relu.
    "relu": Activation(jax.nn.relu, _positive, _positive),
    "tanh": Activation(jnp.tanh, lambda a: 1 - jnp.tanh(a) ** 2, lambda y: 1 - y**2),
    "sigmoid": Activation(
        jax.nn.sigmoid,
        lambda a: _sigmoid_slope_at_post(jax.nn.sigmoid(a)),
        _sigmoid_slope_at_post,
    ),
    # log(1 + exp(10 a)) / 10: a rectifier that can be differentiated twice.
    "softplus": Activation(
        lambda a: jax.nn.softplus(SHARPNESS * a) / SHARPNESS,
        lambda a: jax.nn.sigmoid(SHARPNESS * a),
        lambda y: -jnp.expm1(-SHARPNESS * y),
    ),
    "identity": Activation(lambda a: a, jnp.ones_like, jnp.ones_like),
}
"""Activation functions by name."""
