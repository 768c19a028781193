"""A recurrent spiking network that settles by e-prop, each synapse drawn to a consolidated weight.

Two losses have to be told apart. What e-prop descends is an energy of the read-out at every moment,
`sum_t l(o_t, y)`; what the task's criterion judges is the answer, the mean of o_t over time.
"""

import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError, require_not_negative, require_positive
from .._types import Key, Scalar
from ..losses import LOSSES, LossName
from ..models._initialisers import draw
from ..tasks.base import AbstractTask
from ..tasks.criteria import Criterion
from ._spiking import Neurons, Record, Surrogate, Synapses, Teaching, Trains
from .bilevel import AbstractBilevelLearner, BilevelLife
from .solver import Batch, Solver

SlopeName = Literal["eprop", "eprop_online", "bptt"]
"""e-prop with filtered teaching signals, e-prop with traces, or backpropagation through time."""
Nudge = Literal["moments", "answer"]
"""L_eval: the energy at every moment, like that of learning, or the criterion on the answer."""

_GAINS = (0.1, 0.01, 0.1)
"""Of the initial input, recurrent and output weights, beside sqrt(2 / fan_in)."""


class SpikingLearner(AbstractBilevelLearner):
    """A network of leaky integrate-and-fire neurons (`_spiking`) all of whose synapses settle.

        L_learn = mean_n [ sum_t l(o_t, y) + rho/2 sum_tj (r_j - r*)^2 ]
                  + lambda/2 sum_i (phi_i - omega_i)^2
        L_eval  = mean_n sum_t l(o_t, y)   (`moments`)   or   the criterion's loss   (`answer`)
        answer  = 1/T sum_t o_t,   r_j = 1/T sum_t z_tj,   t = 0 .. T-1,   o_0 = z_0 = 0

    l is the loss of the task's criterion by which rules learn: 1/2 |o_t - y|^2 for regression. phi
    are the weights, theta the consolidated weights omega, at which phi starts. Both slopes are
    multiplied by `factors`, one for each set of synapses: a diagonal preconditioner, which moves no
    point where they vanish. Spikes make these losses stepwise functions of the input and recurrent
    weights, so that a slope is a pseudo-gradient, and where it vanishes is no minimum of the loss.

    Zucchet et al. (2022), "A contrastive rule for meta-learning", section 5.4, whose released code
    has c = 0.001 in `c |phi - omega|^2` and sums over its 10 examples: lambda = 2 c = 0.002 there,
    and a tenth of it here, where examples are averaged. That code takes half of this attraction in
    its slope, and traces of the inputs that are a moment early; this one does neither.
    """

    consolidated: Synapses
    """omega"""
    neurons: Neurons
    solver: Solver
    rate: Any
    criterion: Criterion = eqx.field(static=True)
    strength: float = eqx.field(static=True)
    """lambda"""
    slope: SlopeName = eqx.field(static=True)
    nudge: Nudge = eqx.field(static=True)
    activity: float = eqx.field(static=True)
    """rho"""
    activity_target: float = eqx.field(static=True)
    """r*, spikes a moment."""
    factors: tuple[float, float, float] = eqx.field(static=True)
    duration: int | None = eqx.field(static=True)
    """Moments for which an input without time is shown; None: inputs are [time, channels]."""

    @property
    def slope_is_gradient(self) -> bool:
        return False

    @property
    def forgotten(self) -> str | None:
        return None if self.strength else "--learner.strength 0: nothing draws the weights"

    def perceive(self, x: jax.Array) -> Trains:
        """Inputs as currents in time: as they are, or one constant current an entry."""
        x = x.astype(self.consolidated.into.dtype)
        if self.duration is None:
            return x
        flat = x.reshape(x.shape[0], 1, -1)
        return jnp.broadcast_to(flat, (flat.shape[0], self.duration, flat.shape[2]))

    def start(self, *, key: Key) -> Synapses:
        del key
        return self.consolidated

    def inherit(self, life: BilevelLife) -> "SpikingLearner":
        return eqx.tree_at(lambda own: own.consolidated, self, life.fast)

    def answer(self, fast: Synapses, x: Trains) -> Float[Array, "batch outputs"]:
        return self.neurons.run(fast, x).readout.mean(0)

    def learn_loss(self, fast: Synapses, batch: Batch) -> Scalar:
        record = self.neurons.run(fast, batch.x)
        loss = self._moments(record.readout, batch.y) + self._activity(record.spikes)
        pairs = zip(fast, self.consolidated, strict=True)
        return loss + sum(0.5 * self.strength * jnp.square(a - b).sum() for a, b in pairs)

    def eval_loss(self, fast: Synapses, batch: Batch) -> Scalar:
        return self._eval(self.neurons.run(fast, batch.x).readout, batch.y)

    def learn_slope(self, fast: Synapses, batch: Batch, *, key: Key) -> Synapses:
        del key
        if self.slope == "bptt":
            return self._scaled(jax.grad(self.learn_loss)(fast, batch))
        record = self.neurons.run(fast, batch.x)
        error = jax.grad(self._moments)(record.readout, batch.y)
        rate = record.spikes.mean(0)
        pull = self.activity * (rate - self.activity_target) / rate.shape[0]
        slope = self._local(fast, batch, record, Teaching(error, pull))
        drawn = [
            a + self.strength * (b - c)
            for a, b, c in zip(slope, fast, self.consolidated, strict=True)
        ]
        return self._scaled(Synapses(*drawn))

    def eval_slope(self, fast: Synapses, batch: Batch, *, key: Key) -> Synapses:
        del key
        if self.slope == "bptt":
            return self._scaled(jax.grad(self.eval_loss)(fast, batch))
        record = self.neurons.run(fast, batch.x)
        error = jax.grad(self._eval)(record.readout, batch.y)
        still = jnp.zeros_like(record.spikes[0])
        return self._scaled(self._local(fast, batch, record, Teaching(error, still)))

    def _local(self, fast: Synapses, batch: Batch, record: Record, teaching: Teaching) -> Synapses:
        form = self.neurons.eprop if self.slope == "eprop" else self.neurons.eprop_online
        return form(fast, batch.x, record, teaching)

    def _moments(self, readout: jax.Array, y: jax.Array) -> Scalar:
        """sum_t l(o_t, y), mean of the examples."""
        loss = LOSSES[self._loss].per_example(readout, y.astype(readout.dtype))
        return loss.sum(0).mean()

    def _eval(self, readout: jax.Array, y: jax.Array) -> Scalar:
        if self.nudge == "moments":
            return self._moments(readout, y)
        return self.criterion.loss(readout.mean(0), y.astype(readout.dtype)).mean()

    def _activity(self, spikes: jax.Array) -> Scalar:
        """rho/2 sum_tj (r_j - r*)^2, mean of the examples."""
        away = jnp.square(spikes.mean(0) - self.activity_target)
        return 0.5 * self.activity * spikes.shape[0] * away.sum(-1).mean()

    def _scaled(self, slope: Synapses) -> Synapses:
        return Synapses(*(a * b for a, b in zip(self.factors, slope, strict=True)))

    @property
    def _loss(self) -> LossName:
        return self.criterion.rule_loss


def eprop(
    task: AbstractTask,
    *,
    hidden: int = 100,
    slope: SlopeName = "eprop",
    surrogate: Surrogate | None = None,
    damping: float = 0.3,
    membrane: float = 30.0,
    readout: float = 30.0,
    threshold: float = 0.1,
    duration: int = 20,
    strength: float = 2e-4,
    activity: float = 0.0,
    activity_target: float = 0.2,
    factors: tuple[float, float, float] = (1.0, 1.0, 0.1),
    nudge: Nudge = "moments",
    optimiser: str = "adam",
    steps: int = 500,
    rate: float = 1e-3,
    batch: int | None = None,
    key: Key,
) -> SpikingLearner:
    """A recurrent spiking network whose synapses settle by e-prop, drawn to consolidated weights.

    Args:
        task: What it is to learn; inputs of two axes are spike trains, [time, channels].
        hidden: Neurons.
        slope: What a step descends: e-prop, the same with traces (eprop_online), or bptt.
        surrogate: Pseudo-derivative of spikes; its own default is triangle, for bptt fast_sigmoid.
        damping: Height of the triangle.
        membrane: Time constant of the neurons, in moments.
        readout: Time constant of the read-out, in moments.
        threshold: Voltage above which a neuron spikes.
        duration: Moments for which an input without time is shown, as constant currents.
        strength: Attraction lambda to the consolidated weights, in lambda/2 |phi - omega|^2.
        activity: Strength of the pull of firing rates to their target; the paper's code has 1e-5.
        activity_target: Firing rate to which neurons are pulled, in spikes a moment.
        factors: What slopes of the input, recurrent and output weights are multiplied by.
        nudge: What is evaluated: the read-out at all moments, or the answer, by the criterion.
        optimiser: sgd, momentum, nesterov, adam, rmsprop, or another of optax.
        steps: Steps of a free phase.
        rate: Learning rate of the optimiser.
        batch: Examples drawn for every step; all of them if it is not given.
        key: Draws the initial consolidated weights.
    """
    _positive({"hidden": hidden, "membrane": membrane, "readout": readout, "threshold": threshold})
    _not_negative({"damping": damping, "strength": strength, "activity": activity})
    require_not_negative("--learner.activity-target", activity_target)
    if len(factors) != 3 or not min(factors) > 0:
        raise UsageError(
            f"--learner.factors {' '.join(map(str, factors))}: give three positive ones, of input, "
            "recurrent and output weights"
        )
    in_time = len(task.input_shape) == 2
    moments = task.input_shape[0] if in_time else duration
    if moments < 2:
        raise UsageError(
            f"inputs of {moments} moments reach no neuron: at least 2 are needed, set "
            + ("the task's duration" if in_time else "--learner.duration")
        )
    inputs = task.input_shape[1] if in_time else math.prod(task.input_shape)
    shapes = (inputs, hidden), (hidden, hidden), (hidden, task.outputs)
    drawn = (
        gain * draw("he_normal", shape, key=own)
        for gain, shape, own in zip(_GAINS, shapes, jr.split(key, 3), strict=True)
    )
    if surrogate is None:
        surrogate = "fast_sigmoid" if slope == "bptt" else "triangle"
    return SpikingLearner(
        consolidated=Synapses(*drawn),
        neurons=Neurons(membrane, readout, threshold, surrogate, damping),
        solver=Solver(optimiser, steps, batch),
        rate=rate,
        criterion=task.criterion.whole("eprop"),
        strength=strength,
        slope=slope,
        nudge=nudge,
        activity=activity,
        activity_target=activity_target,
        factors=factors,
        duration=None if in_time else duration,
    )


def _positive(options: dict[str, Any]) -> None:
    for name, value in options.items():
        require_positive(f"--learner.{name}", value)


def _not_negative(options: dict[str, Any]) -> None:
    for name, value in options.items():
        require_not_negative(f"--learner.{name}", value)
