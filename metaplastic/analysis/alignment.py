"""How far a rule's updates point where backpropagation's do, layer by layer.

Two granularities are in use, and they differ: of *weights* (`update_angles`: the flattened updates
of a batch; Meulemans et al. 2020, Laborieux et al. 2021) and of *deltas* (`delta_angles`: the
teaching signals of every example, averaged; Clark et al. 2021). `example_angles` is for rules that
have no deltas: of the weights, but example by example.
"""

from typing import Any

import jax
import jax.numpy as jnp

from .._types import Inputs, Key, RuleState, Targets
from ..models import AbstractNetwork, plastic_layers
from ..rules.base import AbstractRule


def cosines(updates: Any, oracle: Any) -> tuple[jax.Array, jax.Array]:
    """`(cosine, defined)` a plastic layer, [layers] each; undefined where a norm vanishes."""
    pairs = [
        (a.weight.reshape(-1), b.weight.reshape(-1))
        for a, b in zip(plastic_layers(updates), plastic_layers(oracle), strict=True)
    ]
    norms = jnp.stack([jnp.linalg.norm(a) * jnp.linalg.norm(b) for a, b in pairs])
    products = jnp.stack([a @ b for a, b in pairs])
    defined = norms > 1e-12
    return jnp.clip(products / jnp.where(defined, norms, 1), -1, 1), defined


def update_angles(
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
    """theta_l = arccos(<u_l, g_l> / |u_l||g_l|) in degrees, [layers].

    u is the rule's update and g the oracle's (backpropagation's), at the same weights, on the same
    batch, with the same dropout masks. 90 where one of them is zero; below 90 means descent.
    """
    updates = rule.updates(model, state, x, y, key=key, **signals)[0]
    gradient = oracle.updates(model, (), x, y, key=key, **signals)[0]
    return weight_angles(updates, gradient)


def weight_angles(updates: Any, oracle: Any) -> jax.Array:
    """The angle between two updates in degrees, [layers]; 90 where one of them is zero."""
    cosine, defined = cosines(updates, oracle)
    return jnp.where(defined, jnp.degrees(jnp.arccos(cosine)), 90.0)


def example_angles(
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
    """The mean over examples of the angle between the updates of one example, [layers].

    Where both are one delta times the same pre, it is that of the deltas, and dearer to compute.
    Examples whose update or gradient vanishes are left out; 90 where all are.
    """

    def one(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        updates = rule.updates(model, state, x[None], y[None], key=key, **signals)[0]
        gradient = oracle.updates(model, (), x[None], y[None], key=key, **signals)[0]
        return cosines(updates, gradient)

    cosine, defined = jax.vmap(one)(x, y)
    degrees = jnp.degrees(jnp.arccos(cosine))
    count = defined.sum(0)
    total = jnp.where(defined, degrees, 0).sum(0)
    return jnp.where(count > 0, total / jnp.maximum(count, 1).astype(total.dtype), 90.0)
