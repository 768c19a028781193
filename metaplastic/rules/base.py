"""The contract of a learning rule, and the two halves that most rules share.

A rule answers two questions: where does a synapse's teaching signal come from, and what does the
synapse do with it? Two functions are the whole contract, `init` and `updates`; the other methods
have defaults that most rules keep.

Two shared halves: `sweep` carries a signal back layer by layer (backpropagation, feedback
alignment, sign symmetry, weight mirror, Kolen-Pollack: they differ only in the weights that carry
it), `local_updates` gives every layer its own signal at once (direct feedback alignment, DRTP).
"""

import abc
from collections.abc import Collection, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from .._hints import check_choices
from .._properties import Properties as Properties
from .._types import Inputs, Key, Outputs, RuleState, Scalar, Targets, Updates
from ..losses import LOSSES, Loss
from ..models import (
    AbstractNetwork,
    LayerTrace,
    Trace,
    plastic_layers,
    weights,
    with_layers,
    zero_updates,
)
from ..models.base import AbstractLayer
from ..models.normalisation import NormTrace

Sign = Literal["plus", "minus"]


class Aux(eqx.Module):
    """What a step of learning says beside its updates."""

    loss: Scalar
    """Mean loss of the batch, before the update."""
    output: Outputs
    """Output of the network for the batch, [batch, classes]."""
    statistics: list[NormTrace | None]
    """Batch statistics a plastic layer, for running averages of normalisation."""


class AbstractRule(eqx.Module):
    """A learning rule; a pytree whose inexact arrays are what meta-learning may change.

    Its Python numbers are hyper-parameters, its fields the options of the command line.
    """

    properties: eqx.AbstractClassVar[Properties]
    loss: eqx.AbstractVar[str]

    def __check_init__(self):
        check_choices(self, "--rule.")

    @abc.abstractmethod
    def init(self, model: AbstractNetwork, *, key: Key) -> RuleState:
        """What the rule carries: feedback weights, running activities; a pytree, never hidden."""

    @abc.abstractmethod
    def updates(
        self,
        model: AbstractNetwork,
        state: RuleState,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, RuleState, Aux]:
        """Pseudo-gradients, shaped like the weights of `model`.

        Descent sign, mean over the batch, divided by the batch size exactly once; they go through
        any optax transformation. `x` is [batch, *input], `y` [batch, classes]. `signals` holds
        what a trainer knows besides (`learning_rate`: the present one); rules accept and ignore
        what they do not need. Dropout masks are drawn from `key` itself, so that rules given the
        same key see the same masks.
        """

    def trained(self, model: AbstractNetwork) -> Any:
        """Which weights the rule trains: True or False for each, shaped like them; all by default.

        What a rule does not train, no optimiser moves: no weight decay, no momentum.
        """
        return jax.tree.map(lambda _: True, weights(model))

    def reborn(self, model: AbstractNetwork, state: RuleState, *, key: Key) -> RuleState:
        """What the rule carries at the start of a lifetime of `model`, from what meta-learning has
        made of `init`'s; the same by default. For rules that draw something anew in every lifetime.
        """
        del model, key
        return state

    def predict(self, model: AbstractNetwork, state: RuleState, x: Inputs) -> Outputs:
        """Scores [batch, classes], the largest of which is the answer; the network's output
        unless the rule reads it out otherwise."""
        del state
        return model(x)

    def after_step(
        self, before: AbstractNetwork, after: AbstractNetwork, state: RuleState
    ) -> tuple[AbstractNetwork, RuleState]:
        """What follows the optimiser's step from `before` to `after`; nothing by default.

        For rules whose decay or feedback follows the step as it was really made.
        """
        del before
        return after, state

    def angles(self, model: AbstractNetwork, state: RuleState) -> dict[str, jax.Array]:
        """Angles in degrees between forward and feedback weights, by name; none by default."""
        del model, state
        return {}

    def sizes(self, model: AbstractNetwork, state: RuleState) -> dict[str, jax.Array]:
        """How large feedback weights are, beside the forward ones, by name; none by default."""
        del model, state
        return {}

    def learned(self, state: RuleState) -> RuleState:
        """What of the state a rule file keeps: all of it by default. Rules that draw a part anew
        in every lifetime leave it out (None)."""
        return state

    def formula(self, state: RuleState) -> str | None:
        """What the coefficients of the state make of the rule, as text; None for rules whose
        equation is always the same."""
        del state

    @classmethod
    def known_names(cls, field: str) -> Collection[str] | None:
        """Names that a field of free text may hold in a rule file without its reader's consent;
        none by default. None: any text, for a field that never says what is imported."""
        del field
        return ()

    def own_files(self) -> tuple[str, ...]:
        """Files of one's own that the rule imports while it works, as absolute `path.py:name`; none
        by default."""
        return ()

    def input_shape(self, shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """Shape of one input of the network for data of `shape`; the same by default."""
        del classes
        return shape

    @property
    def _loss(self) -> Loss:
        return LOSSES[self.loss]


def aux(loss: Loss, trace: Trace, y: Targets) -> Aux:
    """The `Aux` of a step whose forward pass left `trace`."""
    return Aux(loss.value(trace.output, y), trace.output, [layer.norm for layer in trace.layers])


def send_back(
    layer: AbstractLayer, trace: LayerTrace, delta: jax.Array, feedback: jax.Array
) -> jax.Array:
    """Carry `delta` [batch, *units] to the layer's input through `feedback`, shaped like W."""
    return layer.send_back(delta, feedback, trace.pre.shape[1:])


def sweep(
    model: AbstractNetwork,
    trace: Trace,
    error: jax.Array,
    feedback: Sequence[Any],
    carry: Any = send_back,
) -> Updates:
    """Updates of a backward sweep that starts with `error` [batch, classes] at the output.

    delta_l = carry(delta_{l+1}) * f'(a_l),  dW_l = hebb(pre_l, delta_l) / batch

    `feedback` holds one entry a plastic layer, in forward order; a layer whose entry is None sends
    nothing back, as the first may always do. With `feedback = forward weights` this is
    backpropagation.
    """
    layers = plastic_layers(model)
    if len(feedback) != len(layers):
        raise ValueError(f"{len(feedback)} feedback weights for {len(layers)} plastic layers")

    def carry_unless_first(
        layer: AbstractLayer, own: LayerTrace, delta: jax.Array, weight: Any
    ) -> jax.Array:
        return jnp.zeros_like(own.pre) if weight is None else carry(layer, own, delta, weight)

    return model.sweep(trace.record, error, feedback, carry_unless_first)[0]


def local_updates(
    model: AbstractNetwork, trace: Trace, signals: Sequence[jax.Array | None]
) -> Updates:
    """Updates from one teaching signal a plastic layer, each at its postsynaptic activity.

    delta_l = signal_l * mask_l * f'(a_l),  dW_l = hebb(pre_l, delta_l) / batch; a signal of None
    leaves the layer as it is.
    """
    layers, frozen = plastic_layers(model), plastic_layers(zero_updates(model))
    updates = [
        zero
        if signal is None
        else layer.learn(own.pre, layer.local_error(own, signal), norm=own.norm)[0]
        for layer, zero, own, signal in zip(layers, frozen, trace.layers, signals, strict=True)
    ]
    return with_layers(zero_updates(model), updates)
