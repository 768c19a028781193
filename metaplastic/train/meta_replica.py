"""What a seed carries from meta-step to meta-step, and what the host hears of it."""

from typing import Any

import equinox as eqx
import jax

from .._types import Key


class MetaReplica(eqx.Module):
    """All that one seed carries from meta-step to meta-step; a state is these with a leading
    axis."""

    learner: Any
    """The arrays of the learner."""
    optimiser: Any
    key: Key
    skipped: jax.Array
    """Meta-steps that changed nothing because their loss or gradient was out of bounds."""
    stopped: jax.Array
    """The first meta-step whose gradient was not finite, where that ends the run; else -1."""
    lives: Any = None
    """What an estimator carries on that is in the midst of lifetimes; else None."""


class MetaMetrics(eqx.Module):
    """What the host hears of a chunk, [seeds, meta-steps] each."""

    loss: jax.Array
    metric: jax.Array
    quality: dict[str, jax.Array]
    """What the estimator says of its own estimates, by name."""
