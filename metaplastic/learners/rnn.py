"""A plain recurrent network: what networks with synaptic states are compared with."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._types import Key
from ..models._activations import ACTIVATIONS, ActivationName
from ..tasks.base import AbstractTask
from ._sequence import AbstractSequenceLearner, bounded, check_hidden, draw_readout, inputs_of
from .hebbian import Readout


class RecurrentLearner(AbstractSequenceLearner):
    """h_t = f([x_t, h_{t-1}] W + b),   output_t = h_t V + c,   h_0 = 0.

    Meta-parameters: `W` [inputs + units, units], `b`, `V`, `c`. A life is `h` alone.
    Elman (1990), "Finding structure in time".
    """

    weight: Float[Array, "entering units"]
    bias: Float[Array, " units"]
    readout: Readout
    told: int = eqx.field(static=True)
    activation: ActivationName = eqx.field(static=True)

    def start(self) -> Float[Array, " units"]:
        return jnp.zeros_like(self.bias)

    def advance(
        self, life: Float[Array, " units"], entering: Float[Array, " inputs"]
    ) -> tuple[Float[Array, " units"], Float[Array, " units"]]:
        received = jnp.concatenate([entering, life]) @ self.weight + self.bias
        activity = ACTIVATIONS[self.activation].value(received)
        return activity, activity

    def energy(
        self, life: Float[Array, " units"], entering: Float[Array, " inputs"]
    ) -> Float[Array, " units"]:
        return jnp.square(jnp.concatenate([entering, life])) @ jnp.abs(self.weight)


def rnn(
    task: AbstractTask,
    *,
    hidden: int = 20,
    activation: ActivationName = "tanh",
    key: Key,
) -> RecurrentLearner:
    """A plain recurrent network for a task; W, b ~ U(+-1/sqrt(hidden)).

    Args:
        task: What it is to learn.
        hidden: Units.
        activation: Activation of the units.
        key: Draws the initial weights.
    """
    check_hidden(hidden)
    inputs, told = inputs_of(task)
    weight_key, bias_key, readout_key = jr.split(key, 3)
    return RecurrentLearner(
        weight=bounded((inputs + hidden, hidden), hidden, key=weight_key),
        bias=bounded((hidden,), hidden, key=bias_key),
        readout=draw_readout(hidden, task.outputs, key=readout_key),
        told=told,
        activation=activation,
    )
