"""Feedback alignment through few synapses: most feedback weights are absent.

A variant of Lillicrap, Cownden, Tweed & Akerman (2016), "Random synaptic feedback weights support
error backpropagation for deep learning", sparse as in Crafton, Parihar, Gebhardt & Raychowdhury
(2019), "Direct feedback alignment with sparse connections for local learning".
"""

from typing import ClassVar

import equinox as eqx
import jax

from metaplastic.rules._feedback import draw_feedback
from metaplastic.rules.base import AbstractRule, Properties, aux, sweep


class SparseFeedback(AbstractRule):
    """Feedback alignment whose feedback weights exist with probability `density`.

    delta_L = e,  delta_l = (delta_{l+1} B_{l+1}^T) * f'(a_l),  dW_l = pre_l^T delta_l / batch

    **Locality:** pre, and an error that travelled through feedback weights of its own.
    **State:** B_l, of the shape of W_l and mostly zero, for every layer but the first; fixed.

    ```bibtex
    @article{crafton2019direct,
      title={Direct feedback alignment with sparse connections for local learning},
      author={Crafton, B. and Parihar, A. and Gebhardt, E. and Raychowdhury, A.},
      journal={Frontiers in Neuroscience}, volume={13}, pages={525}, year={2019}}
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

    density: float = 0.25
    """Share of the feedback synapses that exist."""
    loss: str = eqx.field(static=True, default="cross_entropy")
    """Loss at the output."""

    def init(self, model, *, key):
        weight_key, mask_key = jax.random.split(key)
        feedback = draw_feedback(model, "he_uniform", self.density**-0.5, key=weight_key)

        def thin(b):
            return b * jax.random.bernoulli(mask_key, self.density, b.shape).astype(b.dtype)

        return jax.tree.map(thin, feedback)

    def updates(self, model, state, x, y, *, key, **signals):
        trace = model.trace(x, key=key)
        error = self._loss.error(trace.output, y)
        updates = sweep(model, trace, error, state)
        return updates, state, aux(self._loss, trace, y)
