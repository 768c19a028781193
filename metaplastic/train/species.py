"""Several learners a seed, of which the best is the result: keys, leaders, and new beginnings.

A state holds the species of the first seed, then those of the second, and so on.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

_LAST = 10
"""The leader is who did best over the last 1/10 of meta-training so far."""


def keys_of(seeds: Sequence[int], species: int) -> jax.Array:
    """A key for each species of each seed; the first is the seed's own."""
    keys = [
        jr.fold_in(jr.key(seed), number) if number else jr.key(seed)
        for seed in seeds
        for number in range(species)
    ]
    return jnp.stack(keys)


def leaders(losses: Sequence[Any]) -> np.ndarray:
    """Which species of each seed had the smallest meta-loss over the last records.

    `losses` [records, seeds, species]; what is not finite is the worst.
    """
    recent = np.asarray(losses[-max(len(losses) // _LAST, 1) :], np.float64).mean(0)
    return np.where(np.isfinite(recent), recent, np.inf).argmin(-1)


def pick(state: Any, leaders: np.ndarray, species: int) -> Any:
    """The state of one replica a seed: its leader."""
    index = jnp.asarray(np.arange(len(leaders)) * species + leaders)
    return jax.tree.map(lambda leaf: leaf[index], state)


def begin_again(state: Any, leaders: np.ndarray, species: int) -> Any:
    """Every species as the leader of its seed, each with its own key and count of skips."""
    index = jnp.asarray(np.repeat(np.arange(len(leaders)) * species + leaders, species))
    taken = jax.tree.map(lambda leaf: leaf[index], (state.learner, state.optimiser))
    return eqx.tree_at(lambda own: (own.learner, own.optimiser), state, taken)
