"""A network of gated memory cells: what networks with synaptic states are compared with."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._types import Key
from ..tasks.base import AbstractTask
from ._sequence import AbstractSequenceLearner, bounded, check_hidden, draw_readout, inputs_of
from .hebbian import Readout


class GatedLife(eqx.Module):
    """Fast state of memory cells; both zero at birth."""

    activity: Float[Array, " units"]
    cell: Float[Array, " units"]


class GatedLearner(AbstractSequenceLearner):
    """Memory cells with gates for input, forgetting and output.

        i, f, g, o = [x_t, h_{t-1}] W + b        (four quarters of the columns)
        c_t = s(f) c_{t-1} + s(i) tanh(g),   h_t = s(o) tanh(c_t),   output_t = h_t V + c

    with the logistic function `s`. Meta-parameters: `W` [inputs + units, 4 units], `b`, `V`, `c`.
    Hochreiter & Schmidhuber (1997), "Long short-term memory", with the forget gate of Gers,
    Schmidhuber & Cummins (2000).
    """

    weight: Float[Array, "entering gates"]
    bias: Float[Array, " gates"]
    readout: Readout
    told: int = eqx.field(static=True)

    def start(self) -> GatedLife:
        zero = jnp.zeros((self.bias.shape[0] // 4,), self.bias.dtype)
        return GatedLife(zero, zero)

    def advance(
        self, life: GatedLife, entering: Float[Array, " inputs"]
    ) -> tuple[GatedLife, Float[Array, " units"]]:
        received = jnp.concatenate([entering, life.activity]) @ self.weight + self.bias
        admit, keep, new, show = jnp.split(received, 4)
        cell = jax.nn.sigmoid(keep) * life.cell + jax.nn.sigmoid(admit) * jnp.tanh(new)
        activity = jax.nn.sigmoid(show) * jnp.tanh(cell)
        return GatedLife(activity, cell), activity

    def energy(self, life: GatedLife, entering: Float[Array, " inputs"]) -> Float[Array, " units"]:
        drive = jnp.square(jnp.concatenate([entering, life.activity]))
        return (drive @ jnp.abs(self.weight)).reshape(4, -1).sum(0)


def lstm(
    task: AbstractTask, *, hidden: int = 9, forget_bias: float = 0.0, key: Key
) -> GatedLearner:
    """A network of memory cells for a task; W, b ~ U(+-1/sqrt(hidden)).

    Args:
        task: What it is to learn.
        hidden: Memory cells.
        forget_bias: Added to the initial bias of the forget gates; 1 and more keep at first.
        key: Draws the initial weights.
    """
    check_hidden(hidden)
    inputs, told = inputs_of(task)
    weight_key, bias_key, readout_key = jr.split(key, 3)
    bias = bounded((4 * hidden,), hidden, key=bias_key)
    return GatedLearner(
        weight=bounded((inputs + hidden, 4 * hidden), hidden, key=weight_key),
        bias=bias.at[hidden : 2 * hidden].add(forget_bias),
        readout=draw_readout(hidden, task.outputs, key=readout_key),
        told=told,
    )
