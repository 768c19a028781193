"""The sum of a layer's terms: all outer products of one number each as a single product."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..models import AbstractLayer
from ._pool_terms import Outer


def combine(layer: AbstractLayer, parts: Sequence[tuple[jax.Array, Any]]) -> jax.Array:
    """sum_r theta_r F^r, with all outer products of one number each as a single product.

    Terms that share their presynaptic factor share a row of that product.
    """
    rows: dict[Any, dict[int, tuple[jax.Array, jax.Array]]] = {}
    by_id: dict[Any, jax.Array | None] = {}
    changes = []
    for theta, own in parts:
        if not isinstance(own, Outer):
            changes.append(theta * own)
        elif theta.ndim:
            product = theta * layer.hebb(own.pre, own.post)
            changes.append(product if own.by is None else product * own.by)
        else:
            by_id[id(own.by)] = own.by
            group = rows.setdefault(id(own.by), {})
            pre, post = group.get(id(own.pre), (own.pre, 0.0))
            group[id(own.pre)] = pre, post + theta * own.post
    for key, group in rows.items():
        product = _product(layer, list(group.values()))
        own = by_id[key]
        changes.append(product if own is None else product * own)
    if not changes:
        return jnp.zeros_like(layer.weight)
    return functools.reduce(jnp.add, changes)


def _product(layer: AbstractLayer, rows: list[tuple[jax.Array, jax.Array]]) -> jax.Array:
    """The sum of the products of `(pre, post)`: one matrix product, or, of one vector each, a
    fused pass over the weights, for which a matrix product has too few rows to be fast."""
    if rows[0][0].ndim == 2 and rows[0][0].shape[0] == 1:
        return functools.reduce(jnp.add, [layer.hebb(*own) for own in rows])
    pres, posts = zip(*rows, strict=True)
    return layer.hebb(jnp.concatenate(pres), jnp.concatenate(posts))
