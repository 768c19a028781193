"""Feedback alignment whose feedback carries one bit a unit: the sign of the error behind it.

A variant for this example, 2026; it follows Lillicrap, Cownden, Tweed & Akerman (2016), "Random
synaptic feedback weights support error backpropagation for deep learning".
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from metaplastic._properties import Properties
from metaplastic.rules._feedback import draw_feedback
from metaplastic.rules.base import AbstractRule, aux, send_back, sweep


class SignDelta(AbstractRule):
    """Every layer hears which of the units above it should fall and which should rise.

    delta_L = e,  delta_l = scale (sign(delta_{l+1}) B_{l+1}^T) * f'(a_l),  dW_l = pre^T delta_l / n

    **Locality:** pre, and signs of errors that travelled through feedback weights of their own.
    **State:** B_l, of the shape of W_l, for every layer but the first; fixed.

    ```bibtex
    @article{lillicrap2016random,
      title={Random synaptic feedback weights support error backpropagation for deep learning},
      author={Lillicrap, T. P. and Cownden, D. and Tweed, D. B. and Akerman, C. J.},
      journal={Nature Communications}, volume={7}, year={2016}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="no",
        nonlocal_signal="chain of signs of errors",
        backward_sweep=True,
        frozen_activity=True,
        update_locked="yes",
        stored_state=True,
        needs_slope=True,
    )

    scale: float = 0.1
    """Size of what a sign sends back."""
    loss: str = eqx.field(static=True, default="cross_entropy")
    """Loss at the output."""

    def init(self, model, *, key):
        return draw_feedback(model, "he_uniform", self.scale, key=key)

    def updates(self, model, state, x, y, *, key, **signals):
        trace = model.trace(x, key=key)
        error = self._loss.error(trace.output, y)
        updates = sweep(model, trace, error, state, self._carry)
        return updates, state, aux(self._loss, trace, y)

    @staticmethod
    def _carry(layer, trace, delta, feedback):
        return send_back(layer, trace, jnp.sign(delta), feedback)
