"""A network of gated memory cells: what networks with synaptic states are compared with."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError, nearest, require_positive
from .._types import Key
from ..tasks.base import AbstractTask
from ._entry import answered_by_units
from ._sequence import (
    AbstractSequenceLearner,
    FirstUnits,
    bounded,
    check_hidden,
    draw_readout,
    inputs_of,
)
from .hebbian import Readout

GatedEntryName = Literal["dense", "clamp"]
"""Inputs reach the gates of all cells through weights that are learned (dense), or each of them
also holds a cell of its own at its sign (clamp)."""

OPEN, SHUT, LOUD = 10.0, -1000.0, 10.0
"""Pinned biases of a gate that is open and of one that is shut; pinned weight of an input to its
own cell."""

Gates = tuple[Float[Array, " cells"], ...]
"""What the gates i, f, g, o of some cells receive."""


class GatedLife(eqx.Module):
    """Fast state of memory cells; both zero at birth."""

    activity: Float[Array, " units"]
    cell: Float[Array, " units"]


class Clamp(eqx.Module):
    """Cells that inputs hold, one each: their biases and what they receive of inputs are pinned.

        i = h U_i + 10,   f = -1000,   g = h U_g + 10 x,   o = h U_o + 10

    Nothing is kept, all is let in and shown: a large input holds its cell at tanh(1) times its
    sign, and where it is zero the other cells drive it. Pinned numbers are constants, so that no
    meta-step can change them; meta-parameter: `U`.
    """

    weight: Float[Array, "units gates"]
    """`U`, in three thirds of the columns: a forget gate that is always shut needs none."""

    def __call__(
        self, entering: Float[Array, " inputs"], activity: Float[Array, " units"]
    ) -> Gates:
        admit, new, show = jnp.split(activity @ self.weight, 3)
        return admit + OPEN, jnp.full_like(admit, SHUT), new + LOUD * entering, show + OPEN


class GatedLearner(AbstractSequenceLearner):
    """Memory cells with gates for input, forgetting and output.

        i, f, g, o = [x_t, h_{t-1}] W + b        (four quarters of the columns)
        c_t = s(f) c_{t-1} + s(i) tanh(g),   h_t = s(o) tanh(c_t),   output_t = h_t V + c

    with the logistic function `s`. Meta-parameters: `W` [inputs + units, 4 units], `b`, `V`, `c`.
    Hochreiter & Schmidhuber (1997), "Long short-term memory", with the forget gate of Gers,
    Schmidhuber & Cummins (2000).

    With `clamp`, x_t is multiplied by an input scale, and the first cells, one for each input, have
    gates of their own with pinned biases instead of columns of `W` and `b`, by which an input that
    is not zero holds its cell at its sign; where patterns are completed the activities of these
    cells are the answer. The control of Miconi, Clune & Stanley (2018), "Differentiable
    plasticity", section 4.1; in the released code inputs also reach the input and output gates of
    these cells through weights that are learned, which can shut them.
    """

    weight: Float[Array, "entering gates"]
    bias: Float[Array, " gates"]
    readout: Readout | FirstUnits
    told: int = eqx.field(static=True)
    clamp: Clamp | None = None
    """The first cells; None: inputs hold none."""
    input_scale: float = eqx.field(static=True, default=1.0)
    """Of `clamp`; 1 without."""

    def start(self) -> GatedLife:
        units = self.bias.shape[0] // 4 if self.clamp is None else self.clamp.weight.shape[0]
        zero = jnp.zeros((units,), self.bias.dtype)
        return GatedLife(zero, zero)

    def advance(
        self, life: GatedLife, entering: Float[Array, " inputs"]
    ) -> tuple[GatedLife, Float[Array, " units"]]:
        entering = self.input_scale * entering
        received = jnp.concatenate([entering, life.activity]) @ self.weight + self.bias
        gates = tuple(jnp.split(received, 4))
        if self.clamp is not None:
            held = self.clamp(entering, life.activity)
            gates = map(lambda *own: jnp.concatenate(own), held, gates)
        admit, keep, new, show = gates
        cell = jax.nn.sigmoid(keep) * life.cell + jax.nn.sigmoid(admit) * jnp.tanh(new)
        activity = jax.nn.sigmoid(show) * jnp.tanh(cell)
        return GatedLife(activity, cell), activity

    def energy(self, life: GatedLife, entering: Float[Array, " inputs"]) -> Float[Array, " units"]:
        given, own = self.input_scale * jnp.square(entering), jnp.square(life.activity)
        cost = (jnp.concatenate([given, own]) @ jnp.abs(self.weight)).reshape(4, -1).sum(0)
        if self.clamp is None:
            return cost
        held = (own @ jnp.abs(self.clamp.weight)).reshape(3, -1).sum(0) + LOUD * given
        return jnp.concatenate([held, cost])


def lstm(
    task: AbstractTask,
    *,
    hidden: int = 9,
    forget_bias: float = 0.0,
    entry: GatedEntryName = "dense",
    input_scale: float = 100.0,
    key: Key,
) -> GatedLearner:
    """A network of memory cells for a task; all weights and biases ~ U(+-1/sqrt(hidden)).

    Args:
        task: What it is to learn.
        hidden: Memory cells, with those that inputs hold.
        forget_bias: Added to the initial bias of the forget gates; 1 and more keep at first.
        entry: Inputs reach all cells through weights (dense), or each also holds a cell at its sign
            unless exactly zero, by gates with pinned biases (clamp).
        input_scale: What inputs that clamp are multiplied by.
        key: Draws the initial weights.
    """
    inputs, told = inputs_of(task)
    _check(hidden, entry, input_scale, inputs)
    clamped = entry == "clamp"
    cells = hidden - inputs if clamped else hidden
    weight_key, bias_key, readout_key = jr.split(key, 3)
    bias = bounded((4 * cells,), hidden, key=bias_key)
    readout = draw_readout(hidden, task.outputs, key=readout_key)
    clamp = None
    if clamped:
        clamp = Clamp(bounded((hidden, 3 * inputs), hidden, key=jr.fold_in(weight_key, 1)))
        if answered_by_units(task, told):
            readout = FirstUnits(task.outputs)
    return GatedLearner(
        weight=bounded((inputs + hidden, 4 * cells), hidden, key=weight_key),
        bias=bias.at[cells : 2 * cells].add(forget_bias),
        readout=readout,
        told=told,
        clamp=clamp,
        input_scale=input_scale if clamped else 1.0,
    )


def _check(hidden: int, entry: str, input_scale: float, inputs: int) -> None:
    check_hidden(hidden)
    names = get_args(GatedEntryName)
    if entry not in names:
        raise UsageError(f"--learner.entry {entry}: {nearest(entry, names)}")
    require_positive("--learner.input-scale", input_scale)
    if entry == "clamp" and hidden <= inputs:
        raise UsageError(
            f"--learner.entry clamp holds {inputs} cells, one for each input, and needs others "
            f"beside them: --learner.hidden {hidden} must be {inputs + 1} or more"
        )
