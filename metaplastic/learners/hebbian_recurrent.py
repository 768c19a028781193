"""A recurrent network whose synapses carry Hebbian traces: memory of patterns, to be recalled."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError, require_not_negative, require_positive
from .._types import Key
from ..models._initialisers import draw
from ..tasks.base import AbstractTask
from ._entry import answered_by_units, beside, told_width, width
from ._traces import (
    Granularity,
    ModulationName,
    Plasticity,
    TraceName,
    Traces,
    require_plastic,
)
from .base import AbstractLearner
from .hebbian import Readout

EntryName = Literal["drive", "clamp", "dense"]
"""Inputs have units of their own, which they drive or whose activity they replace; or they reach
hidden units through fixed weights, and there are no others."""
AnswerName = Literal["units", "dense"]
"""The answer is the activity of the first units, or a fixed linear map of all of them."""

Activity = Float[Array, "batch units"]


class RecurrentLife(eqx.Module):
    """Fast state of a recurrent network."""

    activity: Float[Array, "1 units"]
    """`y` of the moment before; zero at birth."""
    traces: Traces | None


class RecurrentHebbianLearner(AbstractLearner):
    """Fixed weights plus plasticity coefficients times Hebbian traces, all units to all units.

        y_t = tanh(y_{t-1} (w + alpha * H_{t-1}) + s u_t)
        H_t = (1 - eta) H_{t-1} + eta y_{t-1}^T y_t      (or another trace, perhaps gated)

    The units [n] are: one for each input, hidden ones, and a bias unit whose input is always 1.
    `u` [n] are the inputs at the first units, zero at hidden ones; a scale `s` of 20 holds a unit
    at the sign of its input. With `clamp`, y = u wherever u is not exactly zero. With `dense` all
    units are hidden, and `s u_t` is x_t V + c. Where a task tells the learner a y, it stands behind
    x, and zeros where an answer is asked for.

    Meta-parameters: `w`, `alpha`, and where there are any the rate `eta`, the weights of the
    modulator (which reads y_t), of the entrance and of the read-out. A life is `y` and the traces;
    within a moment the trace before it acts, and then changes.

    Miconi, Clune & Stanley (2018), "Differentiable plasticity", sections 3 and 4.1; with
    modulation, Miconi, Rawal, Clune & Stanley (2019), "Backpropamine", section 3.
    """

    weight: Float[Array, "units units"]
    plasticity: Plasticity | None
    """None: a plain recurrent network, the control without plasticity."""
    readout: Readout | None
    """None: the answer is the activity of the first units."""
    outputs: int = eqx.field(static=True)
    told: int = eqx.field(static=True)
    """Inputs that hold y; 0 where the task tells none."""
    hidden: int = eqx.field(static=True)
    bias: bool = eqx.field(static=True)
    entry: EntryName = eqx.field(static=True)
    input_scale: float = eqx.field(static=True)
    entrance: Readout | None = None
    """`V` and `c` of the entry `dense`."""

    def birth(self, *, key: Key) -> RecurrentLife:
        del key
        activity = jnp.zeros((1, self.weight.shape[0]), self.weight.dtype)
        return RecurrentLife(activity, None if self.plasticity is None else self.plasticity.start())

    def step(
        self, life: RecurrentLife, x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[RecurrentLife, jax.Array]:
        del key
        if x.shape[0] != 1:
            raise UsageError(
                f"hebbian_recurrent has one activity and lives through one example a moment, not "
                f"{x.shape[0]}: choose a task, or task options, that show one at a time"
            )
        after, traces = self.activity(life, x, y), None
        if self.plasticity is not None and life.traces is not None:
            traces = self.plasticity.update(life.traces, life.activity, after)
        return RecurrentLife(after, traces), self.answer(after)

    def predict(self, life: RecurrentLife, x: jax.Array) -> jax.Array:
        """Each question is answered as if it were the next moment."""
        return self.answer(self.activity(life, x, None))

    def activity(self, life: RecurrentLife, x: jax.Array, y: jax.Array | None) -> Activity:
        """y_t, with the traces before this moment."""
        weight = self.weight
        if self.plasticity is not None and life.traces is not None:
            weight = self.plasticity.efficacy(weight, life.traces)
        entering, received = self.entering(x, y), life.activity @ weight
        if self.entry == "dense":
            return jnp.tanh(received + entering)
        if self.entry == "drive":
            return jnp.tanh(received + self.input_scale * entering)
        return jnp.where(entering != 0, entering, jnp.tanh(received))

    def entering(self, x: jax.Array, y: jax.Array | None) -> Activity:
        """`u`: x, y (or zeros) where the task tells it, zeros at hidden units, 1 at the bias; with
        `dense`, what reaches the hidden units of them."""
        given = beside(x, y, self.told)
        if self.entrance is not None:
            return self.entrance(given)
        given = jnp.pad(given, ((0, 0), (0, self.hidden)))
        return jnp.pad(given, ((0, 0), (0, int(self.bias))), constant_values=1)

    def answer(self, activity: Activity) -> Float[Array, "batch outputs"]:
        """What the network says with this activity."""
        return activity[:, : self.outputs] if self.readout is None else self.readout(activity)

    def constrained(self) -> "RecurrentHebbianLearner":
        if self.plasticity is None:
            return self
        return eqx.tree_at(lambda own: own.plasticity, self, self.plasticity.constrained())


def hebbian_recurrent(
    task: AbstractTask,
    *,
    hidden: int = 0,
    bias: bool = True,
    entry: EntryName = "drive",
    input_scale: float = 20.0,
    answer: AnswerName | None = None,
    plastic: bool = True,
    granularity: Granularity = "synapse",
    zero_diagonal: bool = False,
    trace: TraceName = "exponential",
    eta: float = 0.01,
    learn_eta: bool = True,
    modulation: ModulationName = "none",
    bound: float = 1.0,
    scale: float = 0.01,
    key: Key,
) -> RecurrentHebbianLearner:
    """A plastic recurrent network for a task, with a unit for each of its inputs.

    Args:
        task: What it is to learn.
        hidden: Units beside those of the inputs and the bias.
        bias: A unit that is always active; `dense` has none, since its entrance has a bias.
        entry: Inputs drive their units (drive), or set their activity unless exactly zero (clamp),
            or reach hidden units through weights, without units of their own (dense).
        input_scale: What inputs that drive are multiplied by; 20 amounts to a clamp.
        answer: Read from the first units (units) or by a fixed linear map of all (dense); if it is
            not given, dense for classes and wherever the task tells y, else units.
        plastic: Synapses change within a lifetime; without, a plain recurrent network.
        granularity: Who has a plasticity coefficient: each synapse, each neuron, or all share one.
        zero_diagonal: Plasticity coefficients of units onto themselves start at zero.
        trace: The Hebbian trace: a running average (exponential), Oja's, or clipped.
        eta: Rate of the trace; where it is learned, its start.
        learn_eta: The rate is a meta-parameter; with simple modulation, which uses none, it is not.
        modulation: A signal of the network's own gates the change of the trace.
        bound: Largest trace of clipped and modulated traces.
        scale: Standard deviation of the initial weights and coefficients.
        key: Draws the initial weights and coefficients.
    """
    _check(hidden, input_scale, scale, entry)
    own = {"zero-diagonal": zero_diagonal, "trace": trace != "exponential"}
    own |= {"modulation": modulation != "none", "granularity": granularity != "synapse"}
    require_plastic(plastic, own)
    told = told_width(task)
    inputs = width(task) + told
    units = hidden if entry == "dense" else inputs + hidden + int(bias)
    weight_key, trace_key, readout_key = jr.split(key, 3)
    plasticity = None
    if plastic:
        plasticity = Plasticity(
            units,
            units,
            kind=trace,
            modulation=modulation,
            granularity=granularity,
            scale=scale,
            eta=eta,
            learn_eta=learn_eta,
            bound=bound,
            key=trace_key,
        )
        if zero_diagonal:
            plasticity = _without_diagonal(plasticity, granularity)
    readout = entrance = None
    if _answer(task, answer, told, entry) == "dense":
        readout = _linear(units, task.outputs, key=readout_key)
    if entry == "dense":
        entrance = _linear(inputs, units, key=jr.fold_in(readout_key, 1))
    return RecurrentHebbianLearner(
        scale * jr.normal(weight_key, (units, units)),
        plasticity,
        readout,
        task.outputs,
        told,
        hidden,
        bias,
        entry,
        input_scale,
        entrance,
    )


def _linear(inputs: int, units: int, *, key: Key) -> Readout:
    weight = draw("fan_in", (inputs, units), key=key)
    return Readout(weight, jnp.zeros((units,), weight.dtype))


def _without_diagonal(plasticity: Plasticity, granularity: Granularity) -> Plasticity:
    if granularity != "synapse":
        raise UsageError(
            f"--learner.granularity {granularity} has no diagonal: leave out "
            "--learner.zero-diagonal, or take --learner.granularity synapse"
        )
    others = 1 - jnp.eye(plasticity.shape[0], dtype=plasticity.alpha.dtype)
    return eqx.tree_at(lambda own: own.alpha, plasticity, plasticity.alpha * others)


def _answer(
    task: AbstractTask, answer: AnswerName | None, told: int, entry: EntryName
) -> AnswerName:
    """Where the answer is read."""
    if entry == "dense":
        if answer == "units":
            raise UsageError(
                "--learner.answer units reads the units of the inputs, which --learner.entry dense "
                "does not have: take --learner.answer dense"
            )
        return "dense"
    if answer is None:
        return "units" if answered_by_units(task, told) else "dense"
    if answer == "units" and task.outputs > width(task):
        raise UsageError(
            f"--learner.answer units: {task.outputs} outputs cannot be read from the "
            f"{width(task)} units of the inputs: take --learner.answer dense"
        )
    return answer


def _check(hidden: int, input_scale: float, scale: float, entry: EntryName) -> None:
    if entry == "dense" and hidden < 1:
        raise UsageError(
            "--learner.entry dense needs hidden units: say how many, --learner.hidden 20"
        )
    require_not_negative("--learner.hidden", hidden)
    require_positive("--learner.input-scale", input_scale)
    require_not_negative("--learner.scale", scale)
