"""Losses of an output layer, each with the error that its rule sends out.

All three share the error `e = activity(output) - y`, the derivative of the loss of one example with
respect to the output: softmax with cross-entropy, sigmoid with binary cross-entropy, identity with
half the squared error.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from ._types import Outputs, Scalar, Targets

LossName = Literal["cross_entropy", "binary_cross_entropy", "squared_error"]


class Loss(NamedTuple):
    """A loss in terms of the activity of the output units and of the value per example."""

    activity: Callable[[jax.Array], jax.Array]
    """Output activity h_L of the network's linear output, [batch, classes]."""
    per_example: Callable[[jax.Array, jax.Array], jax.Array]
    """Loss of each example, [batch], from linear output and targets."""

    def value(self, output: Outputs, y: Targets) -> Scalar:
        """Mean loss of the batch."""
        return self.per_example(output, y).mean()

    def error(self, output: Outputs, y: Targets) -> Outputs:
        """`e = activity(output) - y`, per example, not divided by the batch."""
        return self.activity(output) - y


def _cross_entropy(output: jax.Array, y: jax.Array) -> jax.Array:
    return -(y * jax.nn.log_softmax(output)).sum(-1)


def _binary_cross_entropy(output: jax.Array, y: jax.Array) -> jax.Array:
    return (jax.nn.softplus(output) - y * output).sum(-1)


def _squared_error(output: jax.Array, y: jax.Array) -> jax.Array:
    return 0.5 * jnp.square(output - y).sum(-1)


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(jax.nn.softmax, _cross_entropy),
    "binary_cross_entropy": Loss(jax.nn.sigmoid, _binary_cross_entropy),
    "squared_error": Loss(lambda output: output, _squared_error),
}
