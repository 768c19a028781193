"""Direct random target projection: hidden layers learn from the label alone, forward.

Frenkel, Lefebvre & Bol (2021), "Learning without feedback: fixed random learning signals allow for
feedforward training of deep neural networks", Frontiers in Neuroscience 15, 629892.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax

from .._properties import Properties
from .._types import Inputs, Key, Targets, Updates
from ..losses import LossName
from ..models import AbstractNetwork, InitialiserName
from ._feedback import draw_direct_feedback, project
from .base import AbstractRule, Aux, aux, local_updates


class DRTP(AbstractRule):
    """A fixed random projection of the target stands in for the error of every hidden layer.

    delta_L = e,  delta_l = (y B_l) * f'(a_l),  dW_l = pre_l^T delta_l / batch

    The label's sign, opposite to the error's, is absorbed by the symmetric B_l. Since the
    projection never vanishes, ReLU units drift and die: use tanh. Not to be confused with direct
    feedback alignment, which projects the error and must wait for it.

    **Locality:** pre, the slope of the post-synaptic unit, and the label, known before the output.
    **State:** B_l [classes, *units of layer l] for every hidden layer, at its activity before any
    pooling; fixed.

    ```bibtex
    @article{frenkel2021learning,
      title={Learning without feedback: fixed random learning signals allow for feedforward
             training of deep neural networks},
      author={Frenkel, Charlotte and Lefebvre, Martin and Bol, David},
      journal={Frontiers in Neuroscience}, volume={15}, pages={629892}, year={2021}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="no",
        nonlocal_signal="global label vector",
        backward_sweep=False,
        frozen_activity=False,
        update_locked="no",
        stored_state=False,
        needs_slope=True,
    )

    feedback_init: InitialiserName = eqx.field(static=True, default="he_uniform")
    """Distribution of B_l, its fan-in the units of layer l; the paper's is he_uniform."""
    feedback_scale: float = 1.0
    """Factor of the projections."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output, which no hidden layer sees; the paper's is binary_cross_entropy."""

    def init(self, model: AbstractNetwork, *, key: Key) -> tuple[jax.Array, ...]:
        return draw_direct_feedback(model, self.feedback_init, self.feedback_scale, key=key)

    def updates(
        self,
        model: AbstractNetwork,
        state: tuple[jax.Array, ...],
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, tuple[jax.Array, ...], Aux]:
        del signals
        trace = model.trace(x, key=key)
        error = self._loss.error(trace.output, y)
        updates = local_updates(model, trace, [*project(y, state), error])
        return updates, state, aux(self._loss, trace, y)
