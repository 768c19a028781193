"""Copies of what many lifetimes share, so that its derivatives are summed once."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key

_Tree = TypeVar("_Tree")


def own_copy(tree: _Tree, *, key: Key) -> _Tree:
    """The same arrays, but a copy for each of many lifetimes that are lived side by side.

    Derivatives of shared arrays would be summed over the lifetimes at every moment, which is slow
    on a CPU; those of copies are summed once. What is chosen depends on the key, so `vmap` copies.
    """
    always = jr.key_data(key).ravel()[0] >= 0
    return jax.tree.map(
        lambda leaf: jnp.where(always, leaf, leaf) if eqx.is_inexact_array(leaf) else leaf, tree
    )
