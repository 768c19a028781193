"""Feedback alignment: errors come back through fixed random weights.

Lillicrap, Cownden, Tweed & Akerman (2016), "Random synaptic feedback weights support error
backpropagation for deep learning", Nature Communications 7, 13276.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax

from .._properties import Properties
from .._types import Inputs, Key, Targets, Updates
from ..losses import LossName
from ..models import AbstractNetwork, InitialiserName
from ._feedback import Feedback, draw_feedback, feedback_angles, feedback_sizes
from .base import AbstractRule, Aux, aux, sweep


class FeedbackAlignment(AbstractRule):
    """Backpropagation whose transposed weights are replaced by fixed random ones.

    delta_L = e,  delta_l = (delta_{l+1} B_{l+1}^T) * f'(a_l),  dW_l = pre_l^T delta_l / batch

    The forward weights come to align with B, whence the name. Not to be confused with direct
    feedback alignment, which skips the layers in between.

    **Locality:** pre and an error that travelled through feedback weights of its own.
    **State:** B_l, of the shape of W_l, for every layer but the first; fixed.

    ```bibtex
    @article{lillicrap2016random,
      title={Random synaptic feedback weights support error backpropagation for deep learning},
      author={Lillicrap, Timothy P. and Cownden, Daniel and Tweed, Douglas B. and
              Akerman, Colin J.},
      journal={Nature Communications}, volume={7}, pages={13276}, year={2016}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="no",
        nonlocal_signal="chain of errors",
        backward_sweep=True,
        frozen_activity=True,
        update_locked="yes",
        stored_state=True,
        needs_slope=True,
    )

    feedback_init: InitialiserName = eqx.field(static=True, default="he_uniform")
    """Distribution of the feedback weights, with the fan of the forward weight's shape."""
    feedback_scale: float = 1.0
    """Factor of the feedback weights."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output."""

    def init(self, model: AbstractNetwork, *, key: Key) -> Feedback:
        return draw_feedback(model, self.feedback_init, self.feedback_scale, key=key)

    def updates(
        self,
        model: AbstractNetwork,
        state: Feedback,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, Feedback, Aux]:
        del signals
        trace = model.trace(x, key=key)
        error = self._loss.error(trace.output, y)
        return sweep(model, trace, error, state), state, aux(self._loss, trace, y)

    def angles(self, model: AbstractNetwork, state: Feedback) -> dict[str, jax.Array]:
        return feedback_angles(model, state)

    def sizes(self, model: AbstractNetwork, state: Feedback) -> dict[str, jax.Array]:
        return feedback_sizes(model, state)
