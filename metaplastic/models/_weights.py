"""Which arrays of a network learn."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Updates
from .normalisation import RunningStatistics


def is_weight(model: Any) -> Any:
    """A tree shaped like `model`: True at the arrays that learn, False elsewhere (running
    statistics of normalisation included)."""
    return jax.tree.map(
        lambda leaf: not isinstance(leaf, RunningStatistics) and eqx.is_inexact_array(leaf),
        model,
        is_leaf=lambda leaf: isinstance(leaf, RunningStatistics),
    )


def weights(model: Any) -> Any:
    """The arrays of `model` that learn; None at every other leaf."""
    return eqx.filter(model, is_weight(model))


def zero_updates(model: Any) -> Updates:
    """Updates that change nothing."""
    return jax.tree.map(jnp.zeros_like, weights(model))
