"""A function of one replica, run for all of them: on all devices, batched or one after the other.

The replicas of a run are one tree whose leaves have a leading axis.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._devices import Spread


def number_of(state: Any) -> int:
    """How many replicas a state holds."""
    return jax.tree.leaves(state)[0].shape[0]


def on_one_device(
    function: Callable[[Any, Any], Any], whole: Any, state: Any, *, loop: bool
) -> Any:
    """`function(whole, replica)` of every replica: batched, or one after the other."""
    one = partial(function, whole)
    if not loop:
        return jax.vmap(one)(state)
    if number_of(state) == 1:
        alone = one(jax.tree.map(lambda leaf: leaf[0], state))
        return jax.tree.map(lambda leaf: leaf[None], alone)
    return jax.lax.map(one, state)


def on_all_devices(
    spread: Spread,
    each: Callable[[Any, Any], Any],
    whole: Any,
    state: Any,
    *,
    lifetimes: bool = False,
) -> Any:
    """`each(whole, state)`, where each device has a part of the replicas.

    `lifetimes`: they can be divided too, and are where the devices do not divide the replicas.
    """
    number = number_of(state)
    if spread.devices > 1 and number % spread.devices and lifetimes:
        return spread.together(each, whole, state)
    if spread.devices > 1 and number > 1:
        return spread.divide(each, whole, state)
    return each(whole, state)


def static_part(tree: Any) -> Any:
    """What all replicas share: everything of a tree but its arrays, which may be shapes."""
    return eqx.partition(tree, _is_array)[1]


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct | jax.Array | np.ndarray)
