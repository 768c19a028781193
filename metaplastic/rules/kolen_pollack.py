"""Kolen-Pollack: feedback weights get the forward weights' changes, and both decay.

Kolen & Pollack (1994), "Backpropagation without weight transport", ICNN; for deep networks Akrout,
Wilson, Humphreys, Lillicrap & Tweed (2019), "Deep learning without weight transport", NeurIPS,
section 4.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax

from .._properties import Properties
from .._types import Inputs, Key, Targets, Updates
from ..losses import LossName
from ..models import AbstractNetwork, InitialiserName, plastic_layers, with_layers
from ._feedback import Feedback, draw_feedback, feedback_angles, feedback_sizes, norm
from ._ranges import check_ranges
from .base import AbstractRule, Aux, aux, sweep


class KolenPollack(AbstractRule):
    """Feedback alignment whose feedback weights change as the forward ones do, and decay with them.

    delta_l = (delta_{l+1} B_{l+1}^T) * f'(a_l),  dW_l = pre_l^T delta_l / batch;
    W_l <- (1 - decay) W_l + step_l,  B_l <- (1 - decay) B_l + step_l

    step_l is what the optimiser really did to W_l, momentum and adaptive rates included, so
    W_l - B_l shrinks by exactly 1 - decay at each step, and the two converge. The first layer's
    weights decay as well, having no B; biases and normalisation do not. Not to be confused with
    weight mirror, the other proposal of Akrout et al. (2019), which learns B from noise.

    **Locality:** pre and an error that travelled through feedback weights of its own; a feedback
    synapse sees the same two factors as its forward partner, whose weight it never reads.
    **State:** B_l, of the shape of W_l, for every layer but the first; plastic.

    ```bibtex
    @inproceedings{akrout2019deep,
      title={Deep learning without weight transport},
      author={Akrout, Mohamed and Wilson, Collin and Humphreys, Peter C. and
              Lillicrap, Timothy and Tweed, Douglas},
      booktitle={Advances in Neural Information Processing Systems}, volume={32}, year={2019}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="learned",
        nonlocal_signal="chain of errors",
        backward_sweep=True,
        frozen_activity=True,
        update_locked="yes",
        stored_state=True,
        needs_slope=True,
    )

    feedback_init: InitialiserName = eqx.field(static=True, default="he_uniform")
    """Distribution of the feedback weights at first, with the fan of the forward weight's shape."""
    feedback_scale: float = 1.0
    """Factor of the feedback weights at first."""
    decay: float = 1e-3
    """Share of W and B that is lost at each step, 0 to 1, whatever the learning rate. With 0 their
    difference stays, and only its share of W shrinks as W grows."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output."""

    def __check_init__(self):
        check_ranges(self, decay="0 to below 1")

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

    def after_step(
        self, before: AbstractNetwork, after: AbstractNetwork, state: Feedback
    ) -> tuple[AbstractNetwork, Feedback]:
        """Give B the step that W made, and let both decay."""
        layers, feedback = [], []
        pairs = zip(plastic_layers(before), plastic_layers(after), state, strict=True)
        for old, new, b in pairs:
            decayed = new.weight - self.decay * old.weight
            layers.append(eqx.tree_at(lambda layer: layer.weight, new, decayed))
            step = new.weight - old.weight
            feedback.append(None if b is None else (1 - self.decay) * b + step)
        return with_layers(after, layers), tuple(feedback)

    def angles(self, model: AbstractNetwork, state: Feedback) -> dict[str, jax.Array]:
        return feedback_angles(model, state)

    def sizes(self, model: AbstractNetwork, state: Feedback) -> dict[str, jax.Array]:
        """`|B2|/|W2|`, and `|W2-B2|`, which shrinks by 1 - decay at each step."""
        apart = {
            f"|W{index}-B{index}|": norm(layer.weight - b)
            for index, (layer, b) in enumerate(zip(plastic_layers(model), state, strict=True), 1)
            if b is not None
        }
        return feedback_sizes(model, state) | apart
