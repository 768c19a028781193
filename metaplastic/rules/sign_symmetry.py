"""Sign symmetry: feedback weights that know the signs of the forward weights, not their sizes.

Liao, Leibo & Poggio (2016), "How important is weight symmetry in backpropagation?", AAAI;
Xiao, Chen, Liao & Poggio (2019), "Biologically-plausible learning algorithms can scale to large
datasets", ICLR. The three modes are named as in Sanfiz & Akrout (2021), "Benchmarking the accuracy
and robustness of feedback alignment algorithms".
"""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from .._properties import Properties
from .._types import Inputs, Key, Targets, Updates
from ..losses import LossName
from ..models import (
    AbstractNetwork,
    InitialiserName,
    plastic_layers,
    standard_deviation,
    with_layers,
)
from ._feedback import (
    Feedback,
    draw_feedback,
    feedback_angles,
    feedback_sizes,
    norm,
    own_key,
)
from ._ranges import check_ranges
from .base import AbstractRule, Aux, aux, sweep


class SignSymmetryState(eqx.Module):
    """What sign symmetry carries between steps."""

    magnitude: Feedback | None
    """|M_l|, of the shape of W_l, for every layer but the first; None unless `mode` is `fixed`."""
    norm: tuple[jax.Array, ...] | None
    """Initial Frobenius norm of every W_l; None without `constrain_weights`."""


class SignSymmetry(AbstractRule):
    """Backpropagation whose transposed weights keep their signs but not their magnitudes.

    B_l = |M_l| sign(W_l),  delta_l = (delta_{l+1} B_{l+1}^T) * f'(a_l),
    dW_l = pre_l^T delta_l / batch

    |M_l| is one number s (`uniform`, uSF), redrawn at every step (`batchwise`, brSF) or drawn once
    (`fixed`, frSF). Not to be confused with feedback alignment, whose signs are random too, nor
    with sign-error variants of other rules, which take the sign of the error.

    **Locality:** pre and an error that travelled through weights whose signs are transported.
    **State:** |M_l|, of the shape of W_l, for every layer but the first, in `fixed` mode; the
    initial norm of every W_l with `constrain_weights`.

    ```bibtex
    @inproceedings{xiao2019biologically,
      title={Biologically-plausible learning algorithms can scale to large datasets},
      author={Xiao, Will and Chen, Honglin and Liao, Qianli and Poggio, Tomaso},
      booktitle={International Conference on Learning Representations}, year={2019}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="signs",
        nonlocal_signal="chain of errors",
        backward_sweep=True,
        frozen_activity=True,
        update_locked="yes",
        stored_state=True,
        needs_slope=True,
    )

    mode: Literal["uniform", "batchwise", "fixed"] = eqx.field(static=True, default="uniform")
    """Magnitudes: all the same, redrawn at every step, or drawn once."""
    feedback_init: InitialiserName = eqx.field(static=True, default="he_uniform")
    """Distribution of M, with the fan of the forward weight's shape; `uniform` mode takes its
    standard deviation as s. The benchmark of 2021 uses xavier_uniform."""
    feedback_scale: float = 1.0
    """Factor of the magnitudes."""
    gradient_clip: float | None = None
    """Each entry of the update is clamped to +- this; None clamps nothing. The benchmark's option
    is 1."""
    constrain_weights: bool = eqx.field(static=True, default=False)
    """Keep the Frobenius norm of every layer's weight at its initial value."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output."""

    def __check_init__(self):
        check_ranges(self, gradient_clip="positive")

    def init(self, model: AbstractNetwork, *, key: Key) -> SignSymmetryState:
        layers = plastic_layers(model)
        return SignSymmetryState(
            self._draw(model, key=key) if self.mode == "fixed" else None,
            tuple(norm(own.weight) for own in layers) if self.constrain_weights else None,
        )

    def updates(
        self,
        model: AbstractNetwork,
        state: SignSymmetryState,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, SignSymmetryState, Aux]:
        del signals
        trace = model.trace(x, key=key)
        error = self._loss.error(trace.output, y)
        updates = sweep(model, trace, error, self._feedback(model, state, key=own_key(key)))
        if self.gradient_clip is not None:
            limit = self.gradient_clip
            updates = jax.tree.map(lambda leaf: jnp.clip(leaf, -limit, limit), updates)
        return updates, state, aux(self._loss, trace, y)

    def after_step(
        self, before: AbstractNetwork, after: AbstractNetwork, state: SignSymmetryState
    ) -> tuple[AbstractNetwork, SignSymmetryState]:
        """Rescale every weight to its initial norm, with `constrain_weights`."""
        del before
        if state.norm is None:
            return after, state
        layers = [
            eqx.tree_at(lambda own: own.weight, layer, _rescale(layer.weight, size))
            for layer, size in zip(plastic_layers(after), state.norm, strict=True)
        ]
        return with_layers(after, layers), state

    def angles(self, model: AbstractNetwork, state: SignSymmetryState) -> dict[str, jax.Array]:
        """Of B_l to W_l; in `batchwise` mode of one draw, always the same."""
        return feedback_angles(model, self._feedback(model, state, key=jax.random.key(0)))

    def sizes(self, model: AbstractNetwork, state: SignSymmetryState) -> dict[str, jax.Array]:
        return feedback_sizes(model, self._feedback(model, state, key=jax.random.key(0)))

    def _feedback(self, model: AbstractNetwork, state: SignSymmetryState, *, key: Key) -> Feedback:
        magnitudes = state.magnitude
        if magnitudes is None:
            magnitudes = self._draw(model, key=key)
        upper = zip(plastic_layers(model)[1:], magnitudes[1:], strict=True)
        return (None, *(own * jnp.sign(layer.weight) for layer, own in upper if own is not None))

    def _draw(self, model: AbstractNetwork, *, key: Key) -> Feedback:
        if self.mode == "uniform":
            return (None, *(self._uniform(own.weight) for own in plastic_layers(model)[1:]))
        drawn = draw_feedback(model, self.feedback_init, self.feedback_scale, key=key)
        return jax.tree.map(jnp.abs, drawn)

    def _uniform(self, weight: jax.Array) -> jax.Array:
        scale = self.feedback_scale * standard_deviation(self.feedback_init, weight.shape)
        return jnp.asarray(scale, weight.dtype)


def _rescale(weight: jax.Array, size: jax.Array) -> jax.Array:
    """`weight` with the norm `size`; a weight of zeros stays one."""
    present = norm(weight)
    return weight * jnp.where(present > 0, size / jnp.where(present > 0, present, 1), 1)
