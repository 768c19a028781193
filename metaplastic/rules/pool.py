"""A pool of local terms: an update is their sum, with coefficients that meta-learning finds.

Shervani-Tabar & Rosenbaum (2023), "Meta-learning biologically plausible plasticity rules with
random feedback pathways", Nature Communications 14, 1805. Coefficients of synapses: Najarro & Risi
(2020), "Meta-learning through Hebbian plasticity in random networks", NeurIPS 33.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from .._properties import Properties
from .._types import Inputs, Key, Targets, Updates
from ..losses import LossName
from ..models import (
    AbstractLayer,
    AbstractNetwork,
    InitialiserName,
    Trace,
    layer_shapes,
    plastic_layers,
    with_layers,
)
from ._feedback import draw_like, draw_maps, feedback_angles
from ._pool_formula import formula
from ._pool_names import Named, absolute, load_term, read_terms
from ._pool_only import check_layers, check_only, read_only
from ._pool_sum import combine
from ._pool_synapses import Synapses as Synapses, see
from ._pool_terms import SETS, TERMS, Outer as Outer, Term as Term, term as term
from .base import AbstractRule, Aux, aux

Coefficients = dict[str, Any]


class PoolState(eqx.Module):
    """What meta-learning finds, and the feedback; nothing of it changes in a lifetime."""

    coefficients: Coefficients
    """theta of each term by name: a number; an array [layers]; or one array a layer, shaped like
    its weights."""
    feedback: tuple[jax.Array, ...] | None
    """One array a layer, B_l shaped like W_l or, direct, [classes, *inputs]; None where the forward
    weights are the feedback."""


class Pool(AbstractRule):
    """An update that is a sum of local terms, each with its coefficient.

    W_l <- W_l + sum_r theta_r F^r(x, y, e, d, W_l), with x, y the activity below and above,
    e_L = h_L - target, e_{l-1} = (e_l B_l^T) * f'(a_{l-1}), and d = e_{l-1} as seen from x:
    (e_l B_l^T) * f'(x), where f' is a function of the activity; so too at the inputs, with 0 where
    no unit has such an activity (softplus: below 0). Alone and with theta = 1, `pseudo_gradient` is
    feedback alignment, and the gradient where feedback is symmetric. The batch is averaged. Biases
    and normalisation follow the pseudo-gradient with its coefficient, and stay where it is not in
    the pool or every synapse has its own.

    **Locality:** pre, post, errors at both ends that travelled through feedback weights, the
    synapse's own weight; some terms sum over the units of the layer.
    **State:** theta_r; B_l, which is fixed, or drawn anew in every lifetime.

    ```bibtex
    @article{shervani2023meta,
      title={Meta-learning biologically plausible plasticity rules with random feedback pathways},
      author={Shervani-Tabar, Navid and Rosenbaum, Robert},
      journal={Nature Communications}, volume={14}, pages={1805}, year={2023}}
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

    terms: tuple[str, ...] = eqx.field(
        static=True, default=("pseudo_gradient", "ehebb", "oja"), converter=absolute
    )
    """Names of the terms (`NAME=VALUE`: where its coefficient starts), of the sets `published` (ten
    terms), `abcd` and `taylor`, or of your own, file.py:NAME."""
    start: float = eqx.field(static=True, default=1.0)
    """Where the first coefficient starts, the others at 0; 1e-3 in the paper, where lifetimes have
    the rate 1."""
    granularity: Literal["global", "layer", "synapse"] = eqx.field(static=True, default="global")
    """Who has a coefficient of its own: all together, every layer, or every synapse."""
    only: tuple[str, ...] = eqx.field(static=True, default=())
    """Terms that act in some layers alone, counted from 1: `ehebb=2,3`."""
    feedback: Literal["random", "direct", "learned", "symmetric"] = eqx.field(
        static=True, default="random"
    )
    """Random weights layer by layer, or from the output to every layer at once; weights that
    meta-learning finds; or the forward weights."""
    keep_feedback: bool = eqx.field(static=True, default=False)
    """Random feedback is drawn once, and not anew in every lifetime."""
    through_feedback: bool = eqx.field(static=True, default=False)
    """Derivatives go through the copy of the forward weights that is symmetric feedback."""
    feedback_init: InitialiserName = eqx.field(static=True, default="xavier_uniform")
    """Distribution of the feedback weights."""
    feedback_scale: float = eqx.field(static=True, default=1.0)
    """Factor of the feedback weights."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output."""

    def __check_init__(self):
        check_only(self.only, [own.name for own in read_terms(self.terms)])

    # Coefficients

    def init(self, model: AbstractNetwork, *, key: Key) -> PoolState:
        check_layers(self.only, len(plastic_layers(model)))
        return PoolState(self._coefficients(model), self._draw(model, key=key))

    def reborn(self, model: AbstractNetwork, state: PoolState, *, key: Key) -> PoolState:
        """Random feedback is drawn anew, unless it is to be kept."""
        if self.keep_feedback or self.feedback not in ("random", "direct"):
            return state
        return PoolState(state.coefficients, self._draw(model, key=key))

    def learned(self, state: PoolState) -> PoolState:
        """What of the state is the rule's own: not the feedback that is drawn."""
        kept = self.feedback == "learned" or self.keep_feedback
        return state if kept else PoolState(state.coefficients, None)

    def formula(self, state: PoolState) -> str:
        """The rule with its coefficients, as text."""
        own = {name: term.formula for name, term in self._terms().items()}
        return formula(own, state.coefficients, self.granularity, read_only(self.only))

    @classmethod
    def known_names(cls, field: str) -> Collection[str] | None:
        """Terms and sets of terms; `only` is no more than read."""
        return {"terms": (*TERMS, *SETS), "only": None}.get(field, ())

    def own_files(self) -> tuple[str, ...]:
        """Terms of one's own."""
        return tuple(own.spec for own in read_terms(self.terms) if own.own)

    def _terms(self) -> dict[str, Term]:
        return {own.name: load_term(own.spec) for own in read_terms(self.terms)}

    def _coefficients(self, model: AbstractNetwork) -> Coefficients:
        layers = plastic_layers(model)
        dtype = layers[-1].weight.dtype

        def one(value: float) -> Any:
            if self.granularity == "synapse":
                return tuple(jnp.full(own.weight.shape, value, dtype) for own in layers)
            return jnp.full((len(layers),) if self.granularity == "layer" else (), value, dtype)

        named = read_terms(self.terms)
        return {own.name: one(_start(own, self.start * (i == 0))) for i, own in enumerate(named)}

    # Feedback

    def _draw(self, model: AbstractNetwork, *, key: Key) -> tuple[jax.Array, ...] | None:
        if self.feedback == "symmetric":
            return None
        layers, scale = plastic_layers(model), self.feedback_scale
        if self.feedback != "direct":
            return draw_like(layers, self.feedback_init, scale, key=key)
        shapes, dtype = layer_shapes(model), layers[-1].weight.dtype
        classes, inputs = math.prod(shapes[-1].post), [own.pre for own in shapes]
        return draw_maps(classes, inputs, self.feedback_init, scale, dtype=dtype, key=key)

    def _weights(self, model: AbstractNetwork, state: PoolState) -> Sequence[jax.Array]:
        """The weights that carry errors, one array a layer."""
        if self.feedback == "learned":
            return state.feedback or ()
        if self.feedback == "symmetric":
            own = [layer.weight for layer in plastic_layers(model)]
            return own if self.through_feedback else jax.lax.stop_gradient(own)
        return jax.lax.stop_gradient(state.feedback or ())

    # Updates

    def updates(
        self,
        model: AbstractNetwork,
        state: PoolState,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, PoolState, Aux]:
        del signals
        trace = model.trace(x, key=key)
        swept, seen = self._see(model, state, trace, y)
        terms, still = self._terms(), read_only(self.only)
        learned = []
        for index, (own, synapses) in enumerate(zip(plastic_layers(swept), seen, strict=True)):
            parts = [
                (_of_layer(state.coefficients[name], index), term(synapses))
                for name, term in terms.items()
                if index + 1 in still.get(name, (index + 1,))
            ]
            change = -combine(synapses.layer, parts) / x.shape[0]
            learned.append(self._with_weight(own, change, state, index))
        updates = with_layers(swept, learned)
        return updates, state, aux(self._loss, trace, y)

    def seen(
        self, model: AbstractNetwork, state: PoolState, x: Inputs, y: Targets, *, key: Key
    ) -> list[Synapses]:
        """What the synapses of every layer see of a batch."""
        return self._see(model, state, model.trace(x, key=key), y)[1]

    def _see(
        self, model: AbstractNetwork, state: PoolState, trace: Trace, y: Targets
    ) -> tuple[Updates, list[Synapses]]:
        """The sweep's own updates, and what the synapses of every layer see."""
        error, weights = self._loss.error(trace.output, y), self._weights(model, state)
        direct = self.feedback == "direct"
        return see(model, trace, error, weights, activity=self._loss.activity, direct=direct)

    def _with_weight(
        self, swept: AbstractLayer, change: jax.Array, state: PoolState, index: int
    ) -> AbstractLayer:
        """The layer's update: `change` for its weight, the sweep's for all else, scaled."""
        factor: Any = 0.0
        if self.granularity != "synapse" and "pseudo_gradient" in state.coefficients:
            factor = _of_layer(state.coefficients["pseudo_gradient"], index)
        scaled = jax.tree.map(lambda leaf: factor * leaf, swept)
        return eqx.tree_at(lambda own: own.weight, scaled, change)

    def angles(self, model: AbstractNetwork, state: PoolState) -> dict[str, jax.Array]:
        """Between W_l and B_l (`W2~B2`, …), where feedback goes layer by layer."""
        if self.feedback not in ("random", "learned") or state.feedback is None:
            return {}
        return feedback_angles(model, (None, *state.feedback[1:]))


def _of_layer(coefficient: Any, index: int) -> jax.Array:
    """A number, or an array shaped like the layer's weights."""
    if isinstance(coefficient, tuple):
        return coefficient[index]
    return coefficient[index] if coefficient.ndim else coefficient


def _start(named: Named, otherwise: float) -> float:
    return otherwise if named.start is None else named.start
