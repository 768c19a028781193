"""Feedback + local plasticity: the output talks to every layer, and each synapse learns by itself.

Lindsey & Litwin-Kumar (2020), "Learning to learn with feedback and local plasticity", NeurIPS 33.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from .._properties import Properties
from .._types import Inputs, Key, Scalar, Targets, Updates
from ..losses import LossName
from ..models import (
    AbstractLayer,
    AbstractNetwork,
    ActivationName,
    InitialiserName,
    Trace,
    layer_shapes,
    plastic_layers,
    weights,
    with_layers,
    zero_updates,
)
from ..models._activations import ACTIVATIONS
from ._learned_feedback import FeedbackPath, backpropagated, draw_path
from ._ranges import check_ranges
from .base import AbstractRule, Aux, aux


class FLPState(eqx.Module):
    """What meta-learning shapes, beside the weights; nothing of it changes in a lifetime."""

    plasticity: tuple[jax.Array, ...]
    """A_l, one entry a layer: shaped like its weight, [units] or a number; one entry in all where
    the granularity is `global`."""
    feedback: tuple[FeedbackPath, ...]
    """The path from the output to each layer that feedback reaches."""
    strength: tuple[jax.Array, ...]
    """beta_l, a number for each of those layers."""
    moment: jax.Array | None
    """Updates so far; None where nobody asks."""


class FLP(AbstractRule):
    """Feedback shifts the activity of every unit, and each synapse follows Hebb's or Oja's rule.

    f_l = relu(s B_l + c_l),  n_l = beta_l f_l + (1 - beta_l) x_l,  n_L = s,
    dW_l = -m_l A_l * (x_{l-1}^T n_l - (sum_batch n_l^2) * W_l)

    `x_l` is the activity of layer l, `s` the signal: the target where the loss is one of
    classification, the error y - x_L where it is a squared error. Oja's rule is written out;
    Hebb's lacks the decay. The batch is summed. Minus signs are those of descent: weights move by
    `+m_l A_l * (...)`. Biases stay. A_l, B_l, c_l, beta_l and W_l are for meta-learning to find;
    without it the rule knows nothing. Not to be confused with direct feedback alignment, whose
    feedback is an error that enters the update by itself, times the slope.

    **Locality:** pre, post, the synapse's own weight, and the signal through learned feedback: the
    target, known before the output; or the error, for which all layers wait.
    **State:** A_l, B_l [outputs, *units of layer l], c_l [*units], beta_l; fixed in a lifetime.

    ```bibtex
    @inproceedings{lindsey2020learning,
      title={Learning to Learn with Feedback and Local Plasticity},
      author={Lindsey, Jack and Litwin-Kumar, Ashok},
      booktitle={Advances in Neural Information Processing Systems}, volume={33}, year={2020}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="no",
        nonlocal_signal="target by learned feedback",
        backward_sweep=False,
        frozen_activity=False,
        update_locked="no",
        stored_state=False,
        needs_slope=False,
        batch_sum=True,
    )

    update: Literal["oja", "hebb"] = eqx.field(static=True, default="oja")
    """The synapse's rule."""
    signal: Literal["auto", "error", "target"] = eqx.field(static=True, default="auto")
    """What feedback carries; `auto`: the error of a squared error, else the target. Derivatives go
    through the error of a squared error, while that of a softmax, divided by the batch, is a
    constant for them."""
    granularity: Literal["synapse", "neuron", "layer", "global"] = eqx.field(
        static=True, default="synapse"
    )
    """Who has a plasticity coefficient."""
    plasticity: float = 0.01
    """A at the start of meta-learning; the published commands start from 0."""
    strength: float = 0.5
    """beta at the start of meta-learning: 0 is no feedback, 1 activity replaced by feedback."""
    multiplier: float = 1.0
    """m_l of the hidden layers; the published classification code multiplies by 100."""
    reduction: Literal["sum", "mean"] = eqx.field(static=True, default="sum")
    """How the examples of a batch enter; the paper's is the sum."""
    feedback_init: InitialiserName = eqx.field(static=True, default="he_normal")
    """Distribution of B_l, its fan-in the outputs."""
    feedback_scale: float = 1.0
    """Factor of the feedback weights at the start."""
    feedback_activation: ActivationName = eqx.field(static=True, default="relu")
    """Nonlinearity of the feedback; `identity`: linear feedback."""
    feedback_layers: int = eqx.field(static=True, default=1)
    """Weights between the output and a layer; more than 1: hidden units on the way."""
    feedback_width: int = eqx.field(static=True, default=300)
    """Hidden units on the way, where there are any."""
    feedback_to: Literal["all", "output"] = eqx.field(static=True, default="all")
    """Which layers the signal reaches."""
    absolute_error: bool = eqx.field(static=True, default=False)
    """Hidden layers get |s|, the output layer s."""
    derivative: Literal["none", "slope", "backprop"] = eqx.field(static=True, default="none")
    """`slope`: feedback times f'(a_l); `backprop`: n_l is s sent back through the forward weights,
    a constant for derivatives."""
    output: Literal["clamp", "feedback"] = eqx.field(static=True, default="clamp")
    """The output's n_L: the signal itself; or like that of a hidden layer, as in the published
    regression code, where a rectified error cannot push the output down, |s| and
    `feedback_to output` take hold of the output too, and the slope is the output's sign."""
    hebb_once: bool = eqx.field(static=True, default=False)
    """Hebb's rule at the first moment of a lifetime and Oja's after it, as the published code does
    in meta-training where Hebb's is asked for."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output, which says what the error is."""

    def __check_init__(self):
        check_ranges(self, feedback_layers="at least 1", feedback_width="at least 1")

    def init(self, model: AbstractNetwork, *, key: Key) -> FLPState:
        layers, shapes = plastic_layers(model), layer_shapes(model)
        dtype = layers[-1].weight.dtype
        reached = [shape.post for shape in shapes]
        outputs = math.prod(reached[-1])
        if self.output == "clamp":
            reached.pop()
        hidden = [self.feedback_width] * (self.feedback_layers - 1)
        keys = jax.random.split(key, max(len(reached), 1))
        return FLPState(
            plasticity=self._coefficients(layers),
            feedback=tuple(
                draw_path(
                    self.feedback_init,
                    [outputs, *hidden],
                    units,
                    scale=self.feedback_scale,
                    dtype=dtype,
                    key=own,
                )
                for units, own in zip(reached, keys, strict=False)
            ),
            strength=tuple(jnp.asarray(self.strength, dtype) for _ in reached),
            moment=jnp.zeros((), jnp.int32) if self.hebb_once else None,
        )

    def updates(
        self,
        model: AbstractNetwork,
        state: FLPState,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, FLPState, Aux]:
        del signals
        trace = model.trace(x, key=key)
        layers, total = plastic_layers(model), len(trace.layers)
        posts = self._posts(model, state, trace, self._signal(trace.output, y))
        kept = self._decay(state)
        learned = []
        for index, (layer, still) in enumerate(
            zip(layers, plastic_layers(zero_updates(model)), strict=True)
        ):
            rate = state.plasticity[0 if self.granularity == "global" else index]
            factor = self.multiplier if index < total - 1 else 1.0
            scale = -factor / (x.shape[0] if self.reduction == "mean" else 1)
            post = posts[index]
            # A sum a unit that scales its weights: no array of batch times synapses is ever made.
            decay = -kept * jnp.square(post).sum(range(post.ndim - 1))
            change = _change(layer, trace.layers[index].pre, post, scale * rate, decay)
            learned.append(eqx.tree_at(lambda own: own.weight, still, change))
        if state.moment is not None:
            state = eqx.tree_at(lambda own: own.moment, state, state.moment + 1)
        updates = with_layers(zero_updates(model), learned)
        return updates, state, aux(self._loss, trace, y)

    def trained(self, model: AbstractNetwork) -> Any:
        """Connections, and of hidden layers only those that `multiplier` lets learn: no biases."""
        nothing = jax.tree.map(lambda _: False, weights(model))
        *hidden, output = plastic_layers(nothing)
        learn = [self.multiplier != 0] * len(hidden) + [True]
        own = [
            eqx.tree_at(lambda layer: layer.weight, layer, plastic)
            for layer, plastic in zip([*hidden, output], learn, strict=True)
        ]
        return with_layers(nothing, own)

    def _coefficients(self, layers: Sequence[AbstractLayer]) -> tuple[jax.Array, ...]:
        shape = {
            "synapse": lambda weight: weight.shape,
            "neuron": lambda weight: weight.shape[-1:],
            "layer": lambda weight: (),
            "global": lambda weight: (),
        }[self.granularity]
        own = layers[:1] if self.granularity == "global" else layers
        return tuple(
            jnp.full(shape(layer.weight), self.plasticity, layer.weight.dtype) for layer in own
        )

    def _signal(self, output: jax.Array, y: jax.Array) -> jax.Array:
        regression = self.loss == "squared_error"
        wanted = ("error" if regression else "target") if self.signal == "auto" else self.signal
        if wanted == "target":
            return y
        error = -self._loss.error(output, y)
        return error if regression else jax.lax.stop_gradient(error) / y.shape[0]

    def _posts(
        self, model: AbstractNetwork, state: FLPState, trace: Trace, signal: jax.Array
    ) -> list[jax.Array]:
        """n_l of every layer, [batch, *units]."""
        if self.derivative == "backprop":
            return backpropagated(model, trace, signal)
        clamped = self.output == "clamp"
        sent = jnp.abs(signal) if self.absolute_error else signal
        own = trace.layers[:-1] if clamped else trace.layers
        layers = plastic_layers(model)
        posts = [layer.post for layer in own]
        if self.feedback_to == "all":
            for index, (path, beta) in enumerate(zip(state.feedback, state.strength, strict=True)):
                fed = path(sent, ACTIVATIONS[self.feedback_activation].value)
                if self.derivative == "slope":
                    last, seen = index + 1 == len(layers), own[index]
                    fed = fed * (jnp.sign(seen.post) if last else layers[index].slope(seen.drive))
                posts[index] = beta * fed + (1 - beta) * posts[index]
        return [*posts, signal] if clamped else posts

    def _decay(self, state: FLPState) -> Scalar | float:
        """1 where Oja's decay applies, 0 where it does not."""
        if state.moment is not None:
            return (state.moment > 0).astype(state.plasticity[0].dtype)
        return 1.0 if self.update == "oja" else 0.0


# Derivatives compute the change again from pre, post and W, which they need anyway: one product
# more instead of an array of synapses stored for every moment.
@functools.partial(jax.checkpoint, prevent_cse=False)
def _change(
    layer: AbstractLayer, pre: jax.Array, post: jax.Array, rate: jax.Array, decay: jax.Array
) -> jax.Array:
    """`rate * (x^T n + decay * W)`, summed over batch and positions; a decay a unit."""
    return rate * (layer.hebb(pre, post) + decay * layer.weight)
