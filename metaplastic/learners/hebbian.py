"""A feed-forward network whose synapses carry Hebbian traces; the plasticity itself is learned."""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError, require_not_negative
from .._types import Key
from ..tasks.base import AbstractTask
from ._entry import beside, told_width, width
from ._traces import (
    WITHOUT_RATE,
    Granularity,
    ModulationName,
    Plasticity,
    TraceName,
    Traces,
    require_plastic,
)
from .base import AbstractLearner

ReadoutName = Literal["dense", "identity"]
"""Weights from the last plastic layer to the outputs, or none: each unit is an output."""


class PlasticLayer(eqx.Module):
    """post = tanh(pre (w + alpha * H) + b); biases do not change within a lifetime."""

    weight: Float[Array, "inputs units"]
    bias: Float[Array, " units"]
    plasticity: Plasticity | None
    """None: fixed weights, the control without plasticity."""

    def start(self) -> Traces | None:
        """Traces at birth."""
        return None if self.plasticity is None else self.plasticity.start()

    def __call__(
        self, traces: Traces | None, pre: Float[Array, "batch inputs"]
    ) -> Float[Array, "batch units"]:
        """Activity, with the traces before this moment."""
        weight = self.weight
        if self.plasticity is not None and traces is not None:
            weight = self.plasticity.efficacy(weight, traces)
        return jnp.tanh(pre @ weight + self.bias)

    def update(
        self,
        traces: Traces | None,
        pre: Float[Array, "batch inputs"],
        post: Float[Array, "batch units"],
    ) -> Traces | None:
        """Traces after this moment."""
        if self.plasticity is None or traces is None:
            return None
        return self.plasticity.update(traces, pre, post)


class Readout(eqx.Module):
    """output = post V + b, or post + b without `V`."""

    weight: Float[Array, "units outputs"] | None
    bias: Float[Array, " outputs"]

    def __call__(self, post: Float[Array, "batch units"]) -> Float[Array, "batch outputs"]:
        return (post if self.weight is None else post @ self.weight) + self.bias


class HebbianLearner(AbstractLearner):
    """Fixed weights plus plasticity coefficients times Hebbian traces: all that lasts is in H.

        post = tanh(pre (w + alpha * H) + b_y)      output = post V + b_z
        H'   = (1 - eta) H + eta pre^T post         (or another trace)

    Meta-parameters: `w`, `alpha`, `b_y` of each layer, `V`, `b_z`, and a rate `eta` and a
    modulator's weights where there are any. A life is the traces, which start at zero. Where a
    task tells the learner a y (few-shot, regression), it is part of the input: y stands behind x,
    and zeros stand there where an answer is asked for.

    Miconi (2016), "Learning to learn with backpropagation of Hebbian plasticity", equation 1.
    """

    layers: tuple[PlasticLayer, ...]
    readout: Readout
    told: int = eqx.field(static=True)
    """Inputs that hold y; 0 where the task tells none."""
    positive: bool = eqx.field(static=True)
    """Keep alpha at 1e-6 or above."""

    def birth(self, *, key: Key) -> tuple[Traces | None, ...]:
        del key
        return tuple(layer.start() for layer in self.layers)

    def step(
        self, life: tuple[Traces | None, ...], x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[tuple[Traces | None, ...], jax.Array]:
        del key
        pre, after = self.input(x, y), []
        for layer, traces in zip(self.layers, life, strict=True):
            post = layer(traces, pre)
            after.append(layer.update(traces, pre, post))
            pre = post
        return tuple(after), self.readout(pre)

    def predict(self, life: tuple[Traces | None, ...], x: jax.Array) -> jax.Array:
        pre = self.input(x, None)
        for layer, traces in zip(self.layers, life, strict=True):
            pre = layer(traces, pre)
        return self.readout(pre)

    def input(self, x: jax.Array, y: jax.Array | None) -> Float[Array, "batch inputs"]:
        """What enters the first layer: x in one row, and y (or zeros) where the task tells it."""
        return beside(x, y, self.told)

    def constrained(self) -> "HebbianLearner":
        plastic = [layer.plasticity for layer in self.layers]
        kept = [None if p is None else p.constrained(positive=self.positive) for p in plastic]
        return eqx.tree_at(
            lambda own: [layer.plasticity for layer in own.layers],
            self,
            kept,
            is_leaf=lambda leaf: leaf is None,
        )


def hebbian(
    task: AbstractTask,
    *,
    hidden: Sequence[int] | None = None,
    readout: ReadoutName | None = None,
    plastic: bool = True,
    granularity: Granularity = "synapse",
    positive: bool = False,
    trace: TraceName = "exponential",
    eta: float = 0.02,
    learn_eta: bool = False,
    modulation: ModulationName = "none",
    bound: float = 1.0,
    scale: float = 0.1,
    key: Key,
) -> HebbianLearner:
    """A plastic network for a task, with the initial scales of Miconi (2016).

    w, alpha, b_y, b_z ~ scale N(0, 1) and V ~ |scale N(0, 1)|.

    Args:
        task: What it is to learn.
        hidden: Widths of the plastic layers; one layer as wide as the output if it is not given.
        readout: Fixed weights after the plastic layers (dense), or none (identity); if it is not
            given, identity where patterns are completed, one unit a bit, and dense elsewhere.
        plastic: Synapses change within a lifetime; without, alpha is 0 (the fixed-weight control).
        granularity: Who has a plasticity coefficient: each synapse, each neuron, or all share one.
        positive: Keep all plasticity coefficients positive (at 1e-6 or above).
        trace: The Hebbian trace: a running average (exponential), Oja's, or clipped.
        eta: Rate of the trace; 1 - eta of it is kept from moment to moment.
        learn_eta: The rate is a meta-parameter.
        modulation: A signal of the network's own gates the change of the trace.
        bound: Largest trace of clipped and modulated traces.
        scale: Standard deviation of the initial weights and coefficients.
        key: Draws the initial weights and coefficients.
    """
    told = told_width(task)
    widths = [width(task) + told, *(hidden or (task.outputs,))]
    readout = readout or _usual_readout(widths, task)
    _check(widths, task, readout, scale)
    own = {"positive": positive, "trace": trace != "exponential", "learn-eta": learn_eta}
    own |= {"modulation": modulation != "none", "granularity": granularity != "synapse"}
    require_plastic(plastic, own)
    if learn_eta and modulation in WITHOUT_RATE:
        raise UsageError(
            f"--learner.learn-eta has no part in --learner.modulation {modulation}, whose signal "
            "is the rate itself: leave it out, or take --learner.modulation retroactive"
        )
    *layer_keys, weight_key, bias_key = jr.split(key, len(widths) + 1)

    def layer(inputs: int, units: int, key: Key) -> PlasticLayer:
        own = jr.split(key, 3)
        plasticity = None
        if plastic:
            plasticity = Plasticity(
                inputs,
                units,
                kind=trace,
                modulation=modulation,
                granularity=granularity,
                scale=scale,
                eta=eta,
                learn_eta=learn_eta,
                bound=bound,
                key=own[2],
            )
            plasticity = plasticity.constrained(positive=positive)
        weight = scale * jr.normal(own[0], (inputs, units))
        return PlasticLayer(weight, scale * jr.normal(own[1], (units,)), plasticity)

    layers = tuple(map(layer, widths[:-1], widths[1:], layer_keys))
    weight = None
    if readout == "dense":
        weight = jnp.abs(scale * jr.normal(weight_key, (widths[-1], task.outputs)))
    out = Readout(weight, scale * jr.normal(bias_key, (task.outputs,)))
    return HebbianLearner(layers, out, told, positive)


def _usual_readout(widths: Sequence[int], task: AbstractTask) -> ReadoutName:
    completes = task.criterion.rule_loss == "squared_error" and widths[0] == task.outputs
    return "identity" if completes and widths[-1] == task.outputs else "dense"


def _check(widths: Sequence[int], task: AbstractTask, readout: ReadoutName, scale: float) -> None:
    if min(widths) < 1:
        raise UsageError(f"--learner.hidden {min(widths)}: every layer needs at least one unit")
    require_not_negative("--learner.scale", scale)
    if readout == "identity" and widths[-1] != task.outputs:
        raise UsageError(
            f"an identity read-out needs a last layer of {task.outputs} units, not {widths[-1]}: "
            "take --learner.readout dense"
        )
