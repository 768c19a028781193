"""PEPITA: the error modulates the input, and two forward passes are compared.

Dellaferrera & Kreiman (2022), "Error-driven input modulation: solving the credit assignment
problem without a backward pass", ICML. Hebbian and time-local variants and mirrored feedback:
Srinivasan et al. (2024), "Forward learning with top-down feedback: empirical and analytical
characterization", ICLR.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._properties import Properties
from .._types import Inputs, Key, Targets, Updates
from ..losses import LossName
from ..models import (
    AbstractNetwork,
    LayerTrace,
    Trace,
    plastic_layers,
    with_layers,
    zero_updates,
)
from ._feedback import angle, feedback_angles, feedback_sizes, own_key
from ._mirror import MirrorChain, Mirroring, follow_chain, is_dense_stack, product, start_chain
from ._modulation import (
    FeedbackDistribution,
    count_inputs,
    draw_input_feedback,
    modulated,
    modulated_drive,
)
from ._ranges import check_meaning, check_ranges
from .base import AbstractRule, Aux, Sign, aux


class PepitaState(eqx.Module):
    """What PEPITA carries."""

    feedback: jax.Array
    """F [n_0, classes], from the error to the input."""
    mirror: MirrorChain | None
    """The factors of F, where it is mirrored."""


class Pepita(AbstractRule):
    """Present the input to which the error was added, and compare with the first presentation.

    e = h_L - y [batch, classes],  x' = x + e F^T with F [n_0, classes],
    dW_l = h'_{l-1}^T (h_l - h'_l) / batch for l < L,  dW_L = h'_{L-1}^T e / batch

    h' is the activity of the second pass, which x' starts and which has the weights and the
    dropout masks of the first. A convolution takes the difference after its activation and before
    pooling, and averages over positions. Biases get the mean of the same signals. In
    `mode="hebbian"`, dW_l = (h_{l-1}^T h_l - h'_{l-1}^T h'_l) / batch with `h'_L = y`, so that each
    term belongs to one pass; in `time_local` the first term is applied before the second pass.
    Not to be confused with direct feedback alignment, which sends the error to every layer.

    **Locality:** pre and post of two passes; the error enters at the input alone.
    **State:** F [n_0, classes], fixed; with `mirror`, also one B_l [n_{l-1}, n_l] a layer.

    ```bibtex
    @inproceedings{dellaferrera2022error,
      title={Error-driven input modulation: solving the credit assignment problem without a
             backward pass},
      author={Dellaferrera, Giorgia and Kreiman, Gabriel},
      booktitle={International Conference on Machine Learning}, year={2022}}
    ```
    ```bibtex
    @inproceedings{srinivasan2024forward,
      title={Forward learning with top-down feedback: empirical and analytical characterization},
      author={Srinivasan, Ravi Francesco and Mignacco, Francesca and Sorbaro, Martino and
              Refinetti, Maria and Cooper, Avi and Kreiman, Gabriel and Dellaferrera, Giorgia},
      booktitle={International Conference on Learning Representations}, year={2024}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="no",
        nonlocal_signal="",
        backward_sweep=False,
        frozen_activity=False,
        update_locked="partly",
        stored_state=True,
        needs_slope=False,
        forward_passes=2,
    )

    mode: Literal["standard", "hebbian", "time_local"] = eqx.field(static=True, default="standard")
    """`standard` (2022), or one product a pass (2024): `hebbian` with both passes at the same
    weights, `time_local` with the second at weights that the first product has changed by plain
    descent at the present learning rate (and with dropout masks of its own). That rate must be
    small against 1/|h_{l-1}|^2, or the first product wipes out the activity that it meets."""
    feedback_init: FeedbackDistribution = eqx.field(static=True, default="he_uniform")
    """Distribution of F: U(+-sqrt(6/n_0)) (the paper's), N(0, 2/n_0), U(+-1/sqrt(classes)),
    U(0, sqrt(6/n_0)), or all ones."""
    feedback_scale: float = 0.05
    """Factor of F, above 0; the paper's value is 0.05."""
    feedback_sign: Sign = eqx.field(static=True, default="plus")
    """x + e F^T (2022; F comes to oppose the product of the weights) or x - e F^T (2024)."""
    sign_error: bool = eqx.field(static=True, default=False)
    """Modulate with the sign of the error, and with F smaller by another factor of 10."""
    presynaptic: Literal["modulated", "standard"] = eqx.field(static=True, default="modulated")
    """The pass whose presynaptic activity enters the update; the paper's is the modulated one."""
    output_error: Literal["first", "second"] = eqx.field(static=True, default="first")
    """The pass whose error trains the output layer: the first in the paper's equations, the
    second in its code for dense networks."""
    position_scaling: Literal["mean", "sqrt", "sum"] = eqx.field(static=True, default="mean")
    """Signals of a convolution are divided by its number of positions (the paper's), by the square
    root of that, or not at all."""
    reuse_masks: bool = eqx.field(static=True, default=True)
    """Use the dropout masks of the first pass in the second, as the paper does."""
    mirror: bool = eqx.field(static=True, default=False)
    """Learn F as a product of weight mirrors, with std(F) = feedback_scale * sqrt(2/n_0); it takes
    the sign that aligns. Dense stacks only."""
    mirror_rate: float = 0.1
    """Learning rate of the mirrors, per mirror step."""
    mirror_decay: float = 0.5
    """Decay of the mirrors, relative to their rate."""
    mirror_noise: float = 0.1
    """Standard deviation of the noise that drives a layer; the paper's value is 0.1."""
    mirror_batch: int = eqx.field(static=True, default=64)
    """Noise patterns in one mirror step."""
    mirror_every: int = eqx.field(static=True, default=1)
    """Training steps from one mirror step to the next."""
    mirror_warmup: int = eqx.field(static=True, default=0)
    """Mirror steps before training."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output; its activity is h_L."""

    def __check_init__(self):
        check_ranges(
            self, feedback_scale="positive", mirror_rate="not negative",
            mirror_decay="not negative", mirror_noise="positive", mirror_batch="at least 2",
            mirror_every="at least 1", mirror_warmup="not negative",
        )  # fmt: skip
        if self.mode != "standard":
            where = f"with --rule.mode {self.mode}, where each product belongs to one pass"
            check_meaning(self, where, ("presynaptic", "output_error"))
        if self.mode == "time_local":
            where = "with --rule.mode time_local, whose second pass always draws its own masks"
            check_meaning(self, where, ("reuse_masks",))
        if self.mirror:
            check_meaning(self, "with --rule.mirror, which learns F", ("feedback_init",))
        else:
            names = ("mirror_rate", "mirror_decay", "mirror_noise", "mirror_batch")
            names += ("mirror_every", "mirror_warmup")
            check_meaning(self, "without --rule.mirror", names)

    def init(self, model: AbstractNetwork, *, key: Key) -> PepitaState:
        layers = plastic_layers(model)
        inputs, classes = count_inputs(model), layers[-1].weight.shape[-1]
        if not self.mirror:
            feedback = self.feedback_scale * draw_input_feedback(
                self.feedback_init, inputs, classes, key=key
            )
            return PepitaState(feedback.astype(layers[0].weight.dtype), None)
        if not is_dense_stack(model):
            raise UsageError(
                "--rule.mirror multiplies the mirrors of dense layers, and this network has other "
                "layers: use --model mlp, or leave it out"
            )
        chain = start_chain(layers, self._mirroring(inputs), warmup=self.mirror_warmup, key=key)
        return self._mirrored(chain)

    def updates(
        self,
        model: AbstractNetwork,
        state: PepitaState,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, PepitaState, Aux]:
        mask_key, mirror_key = jr.split(own_key(key))
        first = model.trace(x, key=key)
        error = self._loss.error(first.output, y)
        if first.layers[-1].post.shape != error.shape:
            raise UsageError(
                "pepita needs a network that ends with a dense layer of one unit a class, and the "
                f"last layer has units of shape {first.layers[-1].post.shape[1:]}: end with Dense"
            )
        if self.mode == "standard":
            second = self._second_pass(model, state, x, first, error, key=mask_key)
            updates = self._differences(model, first, second, error, y)
        else:
            activities = [*_hidden(first), self._loss.activity(first.output)]
            early = self._products(model, first, activities)
            if self.mode == "hebbian":
                second = self._second_pass(model, state, x, first, error, key=mask_key)
            else:
                changed = _descend(model, early, signals.get("learning_rate"))
                second = self._second_pass(changed, state, x, None, error, key=mask_key)
            late = self._products(model, second, [*(-h for h in _hidden(second)), -y])
            updates = jax.tree.map(jnp.add, early, late)
        return updates, self._step(model, state, key=mirror_key), aux(self._loss, first, y)

    def angles(self, model: AbstractNetwork, state: PepitaState) -> dict[str, jax.Array]:
        """`W~F`, between W_1 ... W_L and F, for dense stacks: it rises above 90 where the sign is
        plus and falls below where it is minus. `W1~B1`, ...: between each layer and its mirror."""
        if not is_dense_stack(model):
            return {}
        forward = [layer.weight for layer in plastic_layers(model)]
        found = {"W~F": angle(product(forward), state.feedback)}
        if state.mirror is not None:
            found |= feedback_angles(model, state.mirror.weights)
        return found

    def sizes(self, model: AbstractNetwork, state: PepitaState) -> dict[str, jax.Array]:
        """`std(F)`; with mirrors also `|B1|/|W1|`, ..."""
        found = {"std(F)": state.feedback.std()}
        if state.mirror is not None:
            found |= feedback_sizes(model, state.mirror.weights)
        return found

    # The second pass

    def _modulation(self, error: jax.Array) -> jax.Array:
        """What F sends to the input, [batch, classes]: the error with its sign and scale."""
        modulation = 0.1 * jnp.sign(error) if self.sign_error else error
        return modulation if self.feedback_sign == "plus" else -modulation

    def _second_pass(
        self,
        model: AbstractNetwork,
        state: PepitaState,
        x: jax.Array,
        first: Trace | None,
        error: jax.Array,
        *,
        key: Key,
    ) -> Trace:
        """h', from x'. `first`: the first pass, where that had the same weights."""
        sent = self._modulation(error)
        drive = None if first is None else modulated_drive(model, state.feedback, first, sent)
        return model.trace(
            modulated(x, state.feedback, sent),
            masks=first if self.reuse_masks else None,
            first_drive=drive,
            key=key,
        )

    # The updates, from pairs of presynaptic activity and a signal at the layer

    def _differences(
        self, model: AbstractNetwork, first: Trace, second: Trace, error: jax.Array, y: jax.Array
    ) -> Updates:
        if self.output_error == "second":
            error = self._loss.error(second.output, y)
        pairs = zip(_hidden(first), _hidden(second), strict=True)
        signals = [*(own - other for own, other in pairs), error]
        return self._products(model, second if self.presynaptic == "modulated" else first, signals)

    def _products(
        self, model: AbstractNetwork, trace: Trace, signals: Sequence[jax.Array]
    ) -> Updates:
        """Each layer's correlation of presynaptic activity with its signal, mean of the batch."""
        updates = [
            layer.learn(own.pre, self._scaled(own, signal), norm=own.norm)[0]
            for layer, own, signal in zip(plastic_layers(model), trace.layers, signals, strict=True)
        ]
        return with_layers(zero_updates(model), updates)

    def _scaled(self, own: LayerTrace, signal: jax.Array) -> jax.Array:
        positions = math.prod(own.post.shape[1:-1])
        power = {"mean": 1.0, "sqrt": 0.5, "sum": 0.0}[self.position_scaling]
        return signal if positions == 1 else signal / positions**power

    # Mirrored feedback

    def _mirroring(self, inputs: int) -> Mirroring:
        return Mirroring(
            activity=self._loss.activity,
            noise=self.mirror_noise,
            rate=self.mirror_rate,
            decay=self.mirror_decay,
            batch=self.mirror_batch,
            target=jnp.asarray(self.feedback_scale * math.sqrt(2 / inputs)),
        )

    def _mirrored(self, chain: MirrorChain) -> PepitaState:
        """The plus sign descends where F opposes the product of the weights."""
        found = chain.product()
        return PepitaState(found if self.feedback_sign == "minus" else -found, chain)

    def _step(self, model: AbstractNetwork, state: PepitaState, *, key: Key) -> PepitaState:
        if state.mirror is None:
            return state
        how, layers = self._mirroring(len(state.feedback)), plastic_layers(model)
        return self._mirrored(
            follow_chain(layers, state.mirror, how, every=self.mirror_every, key=key)
        )


def _hidden(trace: Trace) -> list[jax.Array]:
    """Activities of the layers below the output, [batch, *units]."""
    return [own.post for own in trace.layers[:-1]]


def _descend(model: AbstractNetwork, updates: Updates, rate: Any) -> AbstractNetwork:
    """The network after a step of plain descent, at once."""
    if rate is None:
        raise UsageError(
            "--rule.mode time_local applies its first product at once: pass learning_rate= to "
            "updates, or use hebbian"
        )
    step = jax.tree.map(lambda g: -jnp.asarray(rate, g.dtype) * g, updates)
    return eqx.apply_updates(model, step)
