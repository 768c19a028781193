"""Frozen hidden layers, trained read-out: the control that every rule must beat.

Random hidden features are strong on easy data, so an accuracy says nothing about credit
assignment unless the same network with its hidden layers frozen does worse. The read-out learns by
the delta rule of Widrow & Hoff (1960), "Adaptive switching circuits", IRE WESCON.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax

from .._properties import Properties
from .._types import Inputs, Key, RuleState, Targets, Updates
from ..losses import LossName
from ..models import AbstractNetwork, plastic_layers, weights, with_layers
from .base import AbstractRule, Aux, aux, local_updates


class Shallow(AbstractRule):
    """The delta rule at the output, nothing below it.

    dW_L = pre_L^T e / batch,  dW_l = 0 for l < L

    **Locality:** an output synapse reads pre and the error of its post-synaptic unit.
    **State:** none. The lower end of every comparison.

    ```bibtex
    @inproceedings{widrow1960adaptive,
      title={Adaptive switching circuits}, author={Widrow, Bernard and Hoff, Marcian E.},
      booktitle={IRE WESCON Convention Record}, pages={96--104}, year={1960}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="no",
        nonlocal_signal="",
        backward_sweep=False,
        frozen_activity=False,
        update_locked="no",
        stored_state=False,
        needs_slope=False,
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
        error = self._loss.error(trace.output, y)
        only_output = [None] * (len(trace.layers) - 1) + [error]
        return local_updates(model, trace, only_output), state, aux(self._loss, trace, y)

    def trained(self, model: AbstractNetwork) -> Any:
        """The output layer alone."""
        nothing = jax.tree.map(lambda _: False, weights(model))
        *hidden, output = plastic_layers(nothing)
        return with_layers(nothing, [*hidden, jax.tree.map(lambda _: True, output)])
