"""Backpropagation: every layer's error comes back through its own forward weights.

Rumelhart, Hinton & Williams (1986), "Learning representations by back-propagating errors",
Nature 323, 533-536.
"""

from typing import Any, ClassVar

import equinox as eqx

from .._properties import Properties
from .._types import Inputs, Key, RuleState, Targets, Updates
from ..losses import LossName
from ..models import AbstractNetwork, plastic_layers
from .base import AbstractRule, Aux, aux, sweep


class Backprop(AbstractRule):
    """The gradient of the loss, by an explicit backward sweep.

    delta_L = e,  delta_l = (delta_{l+1} W_{l+1}^T) * f'(a_l),  dW_l = pre_l^T delta_l / batch

    **Locality:** a synapse reads pre, the error of its post-synaptic unit, which travelled
    through the forward weights of all layers above.
    **State:** none. The upper end of every comparison.

    ```bibtex
    @article{rumelhart1986learning,
      title={Learning representations by back-propagating errors},
      author={Rumelhart, David E. and Hinton, Geoffrey E. and Williams, Ronald J.},
      journal={Nature}, volume={323}, pages={533--536}, year={1986}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="yes",
        nonlocal_signal="chain of errors",
        backward_sweep=True,
        frozen_activity=True,
        update_locked="yes",
        stored_state=True,
        needs_slope=True,
    )

    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output."""

    def init(self, model: AbstractNetwork, *, key: Key) -> RuleState:
        del model, key
        return ()

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
        del signals
        trace = model.trace(x, key=key)
        feedback = [None, *(layer.weight for layer in plastic_layers(model)[1:])]
        error = self._loss.error(trace.output, y)
        return sweep(model, trace, error, feedback), state, aux(self._loss, trace, y)
