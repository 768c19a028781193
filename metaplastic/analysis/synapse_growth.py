"""How large synapses become over a long lifetime, and whether the learner still learns."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..learners.base import AbstractLearner
from ..learners.lifetime import Moment, moments as moments_of, stepper


class Growth(NamedTuple):
    """Over moments, birth first; means over lifetimes."""

    size: np.ndarray
    """Root mean square of the arrays of a life, [1 + moments]."""
    accuracy: np.ndarray
    """Metric of the questions, [1 + moments]."""


def synapse_growth(
    learner: AbstractLearner, task: Any, *, moments: int, lifetimes: int = 8, seed: int = 0
) -> Growth:
    """Live `moments` moments of a task whose option `moments` says how many there are."""
    long = dataclasses.replace(task, moments=moments)
    size, accuracy = _lived(learner, long, jr.split(jr.key(seed), lifetimes))
    return Growth(np.asarray(size), np.asarray(accuracy))


@eqx.filter_jit
def _lived(learner: AbstractLearner, task: Any, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        sample_key, birth_key, step_key = jr.split(key, 3)
        episode = task.sample(sample_key)
        query = episode.query
        asked, step = learner.perceive(query.x), stepper(learner, key=step_key)

        def seen(life: Any) -> tuple[jax.Array, jax.Array]:
            answers = learner.predict(life, asked)
            return _size(life), episode.criterion.score(answers, query.y).mean()

        def moment(life: Any, own: Moment) -> tuple[Any, tuple[jax.Array, jax.Array]]:
            after = step(life, own)[0]
            return after, seen(after)

        life = learner.birth(key=birth_key)
        rest = jax.lax.scan(moment, life, moments_of(learner, episode.stream))[1]
        return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), seen(life), rest)

    return jax.tree.map(lambda leaf: leaf.mean(0), jax.vmap(one)(keys))


def _size(life: Any) -> jax.Array:
    """Root mean square of all floating-point arrays."""
    leaves = [leaf for leaf in jax.tree.leaves(life) if eqx.is_inexact_array(leaf)]
    total = sum(jnp.square(leaf).sum() for leaf in leaves)
    return jnp.sqrt(total / sum(leaf.size for leaf in leaves))
