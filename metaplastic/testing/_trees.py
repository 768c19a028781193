"""Pytrees as the checks of lifetimes look at them: compiled, compared, told in words."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ._findings import Failed
from ._training import compiled


def compute(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` compiled; only arrays are traced, and only arrays are returned."""
    arrays, static = eqx.partition(args, eqx.is_array)
    return compiled(lambda own: function(*eqx.combine(own, static)))(arrays)


def wide(tree: Any) -> Any:
    """The tree with its floating-point arrays in float64."""
    return jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf, tree
    )


def what_is(value: Any) -> str:
    """`an array float64[3, 2]`, or the type."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array {value.dtype}{list(value.shape)}"
    return f"of type {type(value).__name__}"


def require_same_form(before: Any, after: Any, *, what: str, fix: str) -> None:
    """Raise `Failed` unless two trees have the same structure, shapes and dtypes."""
    old, new = (dict(jax.tree.leaves_with_path(own)) for own in (before, after))
    for path in old.keys() & new.keys():
        if what_is(old[path]) != what_is(new[path]):
            name = jax.tree_util.keystr(path) or "itself"
            raise Failed(
                f"{what}: {name} changes from {what_is(old[path])} to {what_is(new[path])}: {fix}"
            )
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise Failed(
            f"{what}: there are {len(old)} leaves before and {len(new)} after, or other nodes: "
            f"{fix}"
        )


def require_finite(tree: Any, *, what: str) -> None:
    """Raise `Failed` where an array holds NaN or infinity."""
    for path, leaf in jax.tree.leaves_with_path(eqx.filter(tree, eqx.is_inexact_array)):
        if not np.isfinite(np.asarray(leaf, np.float64)).all():
            name = jax.tree_util.keystr(path)
            raise Failed(f"{what}{name} is not finite on unremarkable data")
