"""How far a rule's teaching signals point where backpropagation's do: angles of deltas.

The other granularity beside the angles of weights (`alignment.update_angles`): not what a batch
asks of a layer's synapses but what each example asks of its units, whatever the presynaptic
activity (Clark, Abbott & Chung 2021, "Credit assignment through broadcasting a global error
vector", NeurIPS, log it so). The delta of a layer is what the rule hands to the layer's `learn`,
taken at the linear map: what its weights' update multiplies with pre, and what its bias's sums.
"""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Inputs, Key, RuleState, Targets, Updates
from ..models import AbstractLayer, AbstractNetwork, plastic_layers, with_layers
from ..models.normalisation import NormTrace
from ..rules.base import AbstractRule

_LEAST_NORM = 1e-6
"""Norm below which a delta has no direction."""


class Taught(NamedTuple):
    """What a rule asks of a network for a batch."""

    updates: Updates
    """The rule's; their layers may have a field more than the network's, the tap."""
    deltas: list[jax.Array | None]
    """One a plastic layer, [batch, *units], descent sign, not divided by the batch; None where the
    rule gives the layer no delta."""


def taught(
    rule: AbstractRule,
    model: AbstractNetwork,
    state: RuleState,
    x: Inputs,
    y: Targets,
    *,
    key: Key,
    **signals: Any,
) -> Taught:
    """The rule's updates of a batch and, in the same pass, its deltas of every example.

    No layer of a rule that does not learn through `learn`, or that cannot work with layers of
    another class (one whose state is shaped like the network), has a delta.
    """
    layers = plastic_layers(model)
    tapped = with_layers(model, [_tapped_class(type(layer))(layer) for layer in layers])
    try:
        found = rule.updates(tapped, state, x, y, key=key, **signals)[0]
        return Taught(found, [_delta_of(layer, len(x)) for layer in plastic_layers(found)])
    except Exception:  # of any kind: it is the rule's; its own error, where it has one, comes now
        updates = rule.updates(model, state, x, y, key=key, **signals)[0]
        return Taught(updates, [None] * len(layers))


def delta_angles(
    rule: AbstractRule,
    oracle: AbstractRule,
    model: AbstractNetwork,
    state: RuleState,
    x: Inputs,
    y: Targets,
    *,
    key: Key,
    **signals: Any,
) -> jax.Array:
    """theta_l = mean_b arccos(<d_bl, g_bl> / |d_bl||g_bl|) in degrees, [layers].

    d_bl is the rule's delta of example b at layer l and g_bl the oracle's (backpropagation's), at
    the same weights, with the same dropout masks; positions of a convolution count as units.
    Examples where one of them has a norm below 1e-6 are left out; NaN where all are, or where the
    rule has no delta.
    """
    own = taught(rule, model, state, x, y, key=key, **signals)
    right = taught(oracle, model, (), x, y, key=key, **signals)
    angles = example_delta_angles(own, right)
    return jnp.stack([jnp.nan if each is None else jnp.nanmean(each) for each in angles])


def example_delta_angles(own: Taught, right: Taught) -> list[jax.Array | None]:
    """The angle of each example's deltas in degrees, [batch] a plastic layer: NaN where a delta
    has no direction, None where the layer has no deltas."""
    return [
        None if a is None or b is None or a.shape != b.shape else _degrees(a, b)
        for a, b in zip(own.deltas, right.deltas, strict=True)
    ]


def _degrees(a: jax.Array, b: jax.Array) -> jax.Array:
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    sizes = jnp.linalg.norm(a, axis=1), jnp.linalg.norm(b, axis=1)
    defined = (sizes[0] >= _LEAST_NORM) & (sizes[1] >= _LEAST_NORM)
    cosine = (a * b).sum(1) / jnp.where(defined, sizes[0] * sizes[1], 1)
    return jnp.where(defined, jnp.degrees(jnp.arccos(jnp.clip(cosine, -1, 1))), jnp.nan)


# Layers that keep what they are taught


@functools.cache
def _tapped_class(kind: type[AbstractLayer]) -> Any:
    """Layers of this kind whose updates hold the delta too."""

    class Tapped(kind):  # pyright: ignore[reportGeneralTypeIssues]
        # A number and not None, so that a rule may add updates to weights, leaf by leaf.
        tap: jax.Array

        def __init__(self, layer: AbstractLayer):
            for name in kind.__dataclass_fields__:
                object.__setattr__(self, name, getattr(layer, name))
            self.tap = jnp.zeros((), layer.weight.dtype)

        def learn(
            self, pre: jax.Array, delta: jax.Array, *, norm: NormTrace | None = None
        ) -> tuple[Any, jax.Array]:
            update, delta = super().learn(pre, delta, norm=norm)
            update = eqx.tree_at(
                lambda own: own.tap, update, delta, is_leaf=lambda leaf: leaf is None
            )
            return update, delta

    return Tapped


def _delta_of(update: Any, batch: int) -> jax.Array | None:
    """The delta in a layer's update; None where `learn` was not asked, or not for this batch."""
    tap = getattr(update, "tap", None)
    return tap if tap is not None and tap.ndim > 0 and len(tap) == batch else None
