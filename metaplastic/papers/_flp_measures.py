"""What the analyses of feedback + local plasticity report of a meta-trained learner."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..train.meta_entrant import Measure
from ..train.meta_fit import MetaOutcome
from ..train.meta_trainer import MetaTrainer

LIFETIMES = 100
"""New lifetimes, over which a measure is the mean."""


def _mean_over_lifetimes(of_one: Callable[[Any, Any, Any], jax.Array]) -> Measure:
    """A measure: the mean of `of_one(learner, episode, key)` over lifetimes, a seed."""

    def measure(trainer: MetaTrainer, outcome: MetaOutcome) -> np.ndarray:
        def lived(learner: Any, key: Any) -> jax.Array:
            sample_key, life_key = jr.split(key)
            return of_one(learner, trainer.test_task.sample(sample_key), life_key)

        def one(replica: Any) -> jax.Array:
            learner, keys = (
                trainer.learner(replica),
                jr.split(jr.fold_in(replica.key, 2), LIFETIMES),
            )
            return jax.lax.map(lambda key: lived(learner, key), keys, batch_size=10).mean()

        seeds = outcome.state.skipped.shape[0]
        replicas = [jax.tree.map(lambda leaf, i=i: leaf[i], outcome.state) for i in range(seeds)]
        return np.asarray([jax.jit(one)(replica) for replica in replicas])

    return measure


def _alignment(learner: Any, episode: Any, key: Any) -> jax.Array:
    from ..analysis.lifetimes import update_alignment

    return jnp.nanmean(update_alignment(learner, episode, key=key).overall)


def _forgetting(learner: Any, episode: Any, key: Any) -> jax.Array:
    from ..analysis.retention import forgetting, retention

    functions = episode.query.x.shape[-1] - 1
    return forgetting(retention(learner, episode, functions, key=key).transfer)


alignment = _mean_over_lifetimes(_alignment)
"""Cosine of each moment's change with the negative gradient, mean over moments."""
forgetting = _mean_over_lifetimes(_forgetting)
"""Mean rise of a task's loss from its own end to the end of the lifetime."""
