"""Meta-parameters by path: which arrays of a learner there are, and which a pattern names.

A path is the chain of fields and indices that leads to an array, joined by dots:
`model.nodes.1.weight`, `state.feedback.0`. A pattern names a path, all paths below it, or, with
`*`, `?` and `[…]`, what it matches as a file name would.
"""

import fnmatch
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import UsageError, nearest


def path_name(path: tuple[Any, ...]) -> str:
    """`(GetAttrKey('model'), SequenceKey(1))` -> `model.1`."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def paths(learner: Any) -> dict[str, Any]:
    """The inexact arrays of a learner by path, in the order of its fields."""
    leaves = jax.tree.leaves_with_path(eqx.filter(learner, is_inexact))
    return {path_name(path): leaf for path, leaf in leaves}


def matches(name: str, pattern: str) -> bool:
    """Does a pattern name this path, or one above it?"""
    return name == pattern or name.startswith(f"{pattern}.") or fnmatch.fnmatchcase(name, pattern)


def select(learner: Any, patterns: Iterable[str], *, option: str) -> Any:
    """A tree of booleans: True at the inexact arrays that one of the patterns names.

    Raises `UsageError`, naming `option`, for a pattern that names nothing.
    """
    patterns, known = list(patterns), paths(learner)
    for pattern in patterns:
        if not any(matches(name, pattern) for name in known):
            heads = {name[:i] for name in known for i, c in enumerate(name) if c == "."}
            raise UsageError(
                f"--{option} {pattern}: no meta-parameter has this path; "
                + nearest(pattern, {*known, *heads})
            )

    def chosen(path: tuple[Any, ...], leaf: Any) -> bool:
        name = path_name(path)
        return is_inexact(leaf) and any(matches(name, p) for p in patterns)

    return jax.tree_util.tree_map_with_path(chosen, learner)


def is_inexact(leaf: Any) -> bool:
    """An array of floating-point numbers, or the shape of one."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jnp.issubdtype(leaf.dtype, jnp.inexact)
    return eqx.is_inexact_array(leaf)
