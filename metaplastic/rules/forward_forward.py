"""Forward-Forward: every layer tells right labels from wrong ones by its own activity.

Hinton (2022), "The Forward-Forward algorithm: some preliminary investigations", arXiv 2212.13345,
sections 2 and 3.
"""

import math
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import UsageError
from .._properties import Properties
from .._types import Inputs, Key, Outputs, Targets, Updates
from ..losses import LossName
from ..models import (
    AbstractLayer,
    AbstractNetwork,
    LayerTrace,
    layer_shapes,
    plastic_layers,
    with_layers,
    zero_updates,
)
from ._feedback import own_key
from ._labels import append, flatten, overwrite, wrong_labels
from ._normalised_pass import normalise, normalised_pass, plain_nodes
from ._ranges import check_ranges
from ._readout import ReadOut, add_scores, apply_to_output, learn_readout, new_readout
from .base import AbstractRule, Aux

LabelSlots = Literal["overwrite", "append"]


class ForwardForwardState(eqx.Module):
    """What Forward-Forward carries."""

    activity: tuple[jax.Array, ...]
    """r_l [*units], running mean activity of positive examples, one a hidden layer."""
    readout: ReadOut | None
    """R_l [units, classes], what the linear read-out adds from hidden layers between the first and
    the last, and the momentum of all its weights; None where goodness is read."""


class ForwardForward(AbstractRule):
    """Two forward passes, each layer with a goal of its own: high goodness for the image with its
    right label, low goodness for the image with a wrong one.

    g_l = sum_i h_{l,i}^2 [2 batch],  p_l = sigmoid(g_l - threshold n_l),
    delta_l = 2 h_l (p_l - t) * f'(a_l) with t = 1 for right and 0 for wrong labels,
    dW_l = pre_l^T delta_l / (2 batch) for l < L,  pre_{l+1} = h_l / (rms(h_l) + 1e-8)

    That is the gradient of the layer's own logistic loss, mean over the 2 batch examples; pre_{l+1}
    carries no goodness upwards. `peer_normalisation` adds the gradient of
    `c mean_i (mean_j r_j - r_i)^2`, where r follows the mean activity of the right ones. The output
    layer learns by the delta rule, on examples with a neutral label (1/classes everywhere); as a
    part of the linear read-out by the read-out's own descent, at its own rate, momentum and decay.
    A convolution is one group of units: all its positions share goodness and rms. Published runs
    draw weights from N(0, 1/n_l) (`--initialiser fan_out_normal`) and lower the rates linearly in
    the second half (`--schedule cooldown`). Not to be confused with PEPITA, whose second pass sees
    the network's error.

    **Locality:** pre, post, and the goodness of the layer; the label is part of the input.
    **State:** r_l [*units] a hidden layer; for the linear read-out, R_l [units, classes] and the
    momentum of its weights.

    ```bibtex
    @article{hinton2022forward,
      title={The forward-forward algorithm: Some preliminary investigations},
      author={Hinton, Geoffrey}, journal={arXiv preprint arXiv:2212.13345}, year={2022}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="no",
        nonlocal_signal="",
        backward_sweep=False,
        frozen_activity=False,
        update_locked="no",
        stored_state=False,
        needs_slope=True,
        forward_passes=3,
        batch_linear=False,
    )

    label_slots: LabelSlots = eqx.field(static=True, default="overwrite")
    """Where the label enters: over the first `classes` inputs (of an image: pixels of the first
    row, then the next, in every channel; the paper's), or appended to the flattened input."""
    threshold: float = 1.0
    """Mean square of a layer's activity at which right and wrong are equally likely; the paper's
    value is 1."""
    normalise_input: bool = eqx.field(static=True, default=False)
    """Divide the input by its root mean square too, as public code for the paper does."""
    straight_through: bool = eqx.field(static=True, default=True)
    """Take 1 for the slope of a ReLU also where it is silent, so that peer normalisation reaches
    silent units."""
    peer_normalisation: float = 0.03
    """Strength of peer normalisation; 0 is off."""
    peer_momentum: float = 0.9
    """Share of the running mean activity that is kept per step, 0 to 1."""
    readout: Literal["goodness", "linear"] = eqx.field(static=True, default="goodness")
    """How to predict: the label under which the layers from the second on have the most goodness
    (one pass a label), or a linear layer on the normalised activity of the same layers (one pass
    with the neutral label)."""
    readout_rate: float = 10.0
    """Learning rate of the linear read-out, relative to the network's. Public code for the paper
    has 10, where the network's is 1e-3 and a momentum of 0.9 multiplies both by 10."""
    readout_momentum: float = 0.9
    """Momentum of the linear read-out, which no optimiser trains."""
    readout_decay: float = 3e-3
    """Weight decay of the linear read-out, per unit of its learning rate."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss of the linear read-out."""

    def __check_init__(self):
        check_ranges(self, peer_normalisation="not negative", peer_momentum="0 to 1")
        check_ranges(self, readout_rate="not negative", readout_decay="not negative")
        check_ranges(self, readout_momentum="0 to below 1")

    def init(self, model: AbstractNetwork, *, key: Key) -> ForwardForwardState:
        del key
        plain_nodes(model)
        output = plastic_layers(model)[-1]
        hidden = [shape.post for shape in layer_shapes(model)[:-1]]
        activity = tuple(jnp.full(shape, 0.5, output.weight.dtype) for shape in hidden)
        linear = self.readout == "linear"
        return ForwardForwardState(activity, new_readout(hidden, output) if linear else None)

    def updates(
        self,
        model: AbstractNetwork,
        state: ForwardForwardState,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, ForwardForwardState, Aux]:
        right = self._labelled(model, x, y)
        wrong = self._labelled(model, x, wrong_labels(y, key=own_key(key)))
        both, _ = normalised_pass(model, jnp.concatenate([right, wrong]), training=True, key=key)
        updates, activity, losses = [], [], []
        layers = plastic_layers(model)
        for layer, own, mean in zip(layers[:-1], both, state.activity, strict=True):
            update, mean, loss = self._layer_update(layer, own, mean)
            updates.append(update)
            activity.append(mean)
            losses.append(loss)
        output, readout, score = self._learn_readout(model, state, x, y, signals)
        updates = with_layers(zero_updates(model), [*updates, output])
        loss = sum(losses) + self._loss.value(score, y)
        statistics = [*(own.norm for own in both), None]
        return updates, ForwardForwardState(tuple(activity), readout), Aux(loss, score, statistics)

    def after_step(
        self, before: AbstractNetwork, after: AbstractNetwork, state: ForwardForwardState
    ) -> tuple[AbstractNetwork, ForwardForwardState]:
        """The linear read-out's own step of the output layer."""
        if state.readout is None:
            return after, state
        return apply_to_output(before, after, state.readout), state

    def predict(self, model: AbstractNetwork, state: ForwardForwardState, x: Inputs) -> Outputs:
        """Goodness for each label, or the scores of the linear read-out, [batch, classes]."""
        classes = plastic_layers(model)[-1].weight.shape[-1]
        if self.readout == "linear":
            return self._scores(model, state, self._neutral(model, x, classes))[0]

        def goodness_of(label: jax.Array) -> jax.Array:
            labels = jnp.broadcast_to(label.astype(x.dtype), (x.shape[0], classes))
            hidden, _ = normalised_pass(model, self._labelled(model, x, labels))
            counted = hidden[min(1, len(hidden) - 1) :]
            return jnp.stack([goodness(own.post) for own in counted]).sum(0)

        return jax.lax.map(goodness_of, jnp.eye(classes)).T

    def input_shape(self, shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        """`append` flattens the data and adds one input a class."""
        return shape if self.label_slots == "overwrite" else (math.prod(shape) + classes,)

    # Labels in the input

    def _labelled(self, model: AbstractNetwork, x: jax.Array, labels: jax.Array) -> jax.Array:
        """Inputs of the network for examples `x` with `labels` [batch, classes]."""
        expected = self.input_shape(x.shape[1:], labels.shape[-1])
        if model.input_shape not in (None, expected):
            raise UsageError(
                f"--rule.label-slots {self.label_slots} makes inputs of shape {expected}, and the "
                f"network takes {model.input_shape}: build it for rule.input_shape(shape, classes)"
            )
        insert = append if self.label_slots == "append" else overwrite
        x = insert(x, labels.astype(x.dtype))
        return normalise(x) if self.normalise_input else x

    def _neutral(self, model: AbstractNetwork, x: jax.Array, classes: int) -> jax.Array:
        return self._labelled(model, x, jnp.full((x.shape[0], classes), 1 / classes, x.dtype))

    # Hidden layers

    def _layer_update(
        self, layer: AbstractLayer, own: LayerTrace, mean: jax.Array
    ) -> tuple[Any, jax.Array, jax.Array]:
        """`(updates, running activity, loss)` of one hidden layer, from its own trace alone."""
        size, units = own.post.shape[0], mean.size
        right = (jnp.arange(size) < size // 2).astype(own.post.dtype)
        logit = goodness(own.post) - self.threshold * units
        loss = (jax.nn.softplus(logit) - right * logit).mean()
        signal = 2 * own.post * _each(jax.nn.sigmoid(logit) - right, own.post)

        present = own.post[: size // 2].mean(0)
        mean = self.peer_momentum * mean + (1 - self.peer_momentum) * present
        apart = mean - mean.mean()
        loss = loss + self.peer_normalisation * jnp.square(apart).mean()
        # `learn` divides by 2 batch, but a mean over the right ones by batch: hence 2 * 2.
        peer = self.peer_normalisation * 4 * (1 - self.peer_momentum) * apart / units
        signal = signal + _each(right, own.post) * peer

        update, _ = layer.learn(own.pre, self._local_error(layer, own, signal), norm=own.norm)
        return update, mean, loss

    def _local_error(self, layer: AbstractLayer, own: LayerTrace, signal: jax.Array) -> jax.Array:
        if not (self.straight_through and layer.activation == "relu"):
            return layer.local_error(own, signal)
        return signal if own.mask is None else signal * own.mask

    # The linear read-out

    def _scores(
        self, model: AbstractNetwork, state: ForwardForwardState, x: jax.Array
    ) -> tuple[jax.Array, list[jax.Array], jax.Array]:
        """`(scores, normalised activity of the hidden layers, input of the output layer)`."""
        hidden, pre = normalised_pass(model, x)
        score = plastic_layers(model)[-1].drive(pre)
        pres = [flatten(normalise(own.post)) for own in hidden]
        if state.readout is not None:
            score = add_scores(score, state.readout, pres)
        return score, pres, pre

    def _learn_readout(
        self,
        model: AbstractNetwork,
        state: ForwardForwardState,
        x: jax.Array,
        y: jax.Array,
        signals: dict[str, Any],
    ) -> tuple[Any, ReadOut | None, jax.Array]:
        """`(updates of the output layer, read-out, scores)` of a pass without label."""
        score, pres, pre = self._scores(model, state, self._neutral(model, x, y.shape[-1]))
        error = self._loss.error(score, y)
        output = plastic_layers(model)[-1]
        update, _ = output.learn(pre, error)
        if state.readout is None:
            return update, None, score
        if "learning_rate" not in signals:
            raise UsageError(
                "--rule.readout linear has a rate of its own: pass learning_rate= to updates, or "
                "use --rule.readout goodness"
            )
        readout = learn_readout(
            state.readout,
            output,
            pres,
            error,
            update,
            rate=self.readout_rate * jnp.asarray(signals["learning_rate"], score.dtype),
            momentum=self.readout_momentum,
            decay=self.readout_decay,
        )
        return update, readout, score


def goodness(post: jax.Array) -> jax.Array:
    """Sum of squares over all units of each example, [batch]."""
    return jnp.square(post).sum(range(1, post.ndim))


def _each(value: jax.Array, like: jax.Array) -> jax.Array:
    """One value an example, ready to multiply `like`."""
    return value.reshape(-1, *(1 for _ in like.shape[1:]))
