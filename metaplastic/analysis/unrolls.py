"""How good a learner is after each moment of its lifetime: accuracy over unrolls."""

import jax
import jax.numpy as jnp
import jax.random as jr

from .._devices import even_share
from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner, Life
from ..learners.lifetime import Lived, Moment, moments, stepper
from ..tasks.base import AbstractTask, Episode

_TOGETHER = 16
"""Lifetimes that are lived side by side."""


def accuracy_over_moments(
    learner: AbstractLearner, task: AbstractTask, *, keys: jax.Array, together: int = _TOGETHER
) -> jax.Array:
    """Metric of a lifetime's questions at birth and after each moment, [lifetimes, 1 + moments].

    One lifetime a key, drawn from `task` as it is (its `held_out()` for those of meta-testing).
    The metric is the task's (the part that is right where classes are named). Pure: it may be
    compiled (with learner and task as arguments, so that images are no constants of the program)
    and mapped over learners. Raises `UsageError` for a task that asks no questions at
    the end.
    """

    def one(key: Key) -> jax.Array:
        sample_key, life_key = jr.split(key)
        return over_moments(learner, task.sample(sample_key), key=life_key)

    return jax.lax.map(one, keys, batch_size=even_share(len(keys), together))


def over_moments(learner: AbstractLearner, episode: Episode, *, key: Key) -> jax.Array:
    """The same of one episode, [1 + moments]."""
    return lived_over_moments(learner, episode, key=key)[1]


def lived_over_moments(
    learner: AbstractLearner, episode: Episode, *, key: Key
) -> tuple[Lived, jax.Array]:
    """What a lifetime left, as `lifetime` gives it, and the metric at birth and after each
    moment."""
    query = episode.query
    if query is None:
        raise UsageError(
            "this task asks no questions at the end of a lifetime, so that there is nothing to "
            "answer after each moment: use one with queries, such as labelled_batches"
        )
    birth_key, step_key = jr.split(key)
    step, asked = stepper(learner, key=step_key), learner.perceive(query.x)

    def score(life: Life) -> jax.Array:
        return episode.criterion.score(learner.predict(life, asked), query.y).mean()

    def moment(life: Life, own: Moment) -> tuple[Life, tuple[jax.Array, jax.Array]]:
        after, output = step(life, own)
        return after, (output, score(after))

    born = learner.birth(key=birth_key)
    life, (outputs, scores) = jax.lax.scan(moment, born, moments(learner, episode.stream))
    lived = Lived(life, outputs, learner.predict(life, asked))
    return lived, jnp.concatenate([score(born)[None], scores])
