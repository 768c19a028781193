"""What a lifetime knows of each task, while it learns one after the other; of any learner.

Every function takes one episode; `jax.vmap` over episodes and keys gives a sample of them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key, Scalar
from ..learners.base import AbstractLearner
from ..tasks.base import Episode, Query


class Retention(NamedTuple):
    """Loss and metric on every task after every other; tasks in the order learned."""

    before: jax.Array
    """Loss on each task at birth, [tasks]."""
    transfer: jax.Array
    """R[i, j]: loss on task j after task i, [tasks, tasks]."""
    retention: jax.Array
    """The same of the task's metric (accuracy, squared error), [tasks, tasks]."""


def retention(
    learner: AbstractLearner,
    episode: Episode,
    tasks: int,
    *,
    groups: jax.Array | None = None,
    key: Key,
) -> Retention:
    """The questions of all tasks at birth and after each task of one lifetime.

    The stream holds equally many moments of each of `tasks`; `groups` [questions] says to which of
    them a question belongs (`class_groups`), by default equally many each, in order. Raises
    `UsageError` where the stream or the questions cannot be divided so.
    """
    query, belongs = questions_by_task(episode, tasks, groups)
    asked = learner.perceive(query.x)
    birth_key, step_key = jr.split(key)
    step, moments = learner.unfold(episode.stream, key=step_key)

    def judged(life: Any) -> tuple[jax.Array, jax.Array]:
        answers = learner.predict(life, asked)
        losses = episode.criterion.loss(answers, query.y)
        return losses @ belongs, episode.criterion.score(answers, query.y) @ belongs

    def task(life: Any, own: Any) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        life, _ = jax.lax.scan(step, life, own)
        return life, judged(life)

    life = learner.birth(key=birth_key)
    _, (losses, scores) = jax.lax.scan(task, life, by_task(moments, tasks))
    return Retention(judged(life)[0], losses, scores)


def questions_by_task(
    episode: Episode, tasks: int, groups: jax.Array | None
) -> tuple[Query, jax.Array]:
    """`(questions, weights [questions, tasks])`, by which a product takes the mean of each task.

    Raises `UsageError` where the episode cannot be divided among so many tasks.
    """
    query, time = episode.query, episode.stream.x.shape[0]
    if query is None or time % tasks or (groups is None and len(query.y) % tasks):
        count = 0 if query is None else len(query.y)
        raise UsageError(
            f"{time} moments and {count} questions cannot be divided among {tasks} tasks: give as "
            "many tasks as the episode has, in continual order"
        )
    if groups is None:
        groups = jnp.arange(len(query.y)) // (len(query.y) // tasks)
    belongs = jax.nn.one_hot(groups, tasks)
    return query, belongs / belongs.sum(0)


def by_task(moments: Any, tasks: int) -> Any:
    """The moments of a lifetime, [time, ...], as [tasks, time of each, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(tasks, -1, *leaf.shape[1:]), moments)


def class_groups(episode: Episode, classes: int) -> jax.Array:
    """For each question, in which part of a class-by-class stream its class was learned.

    Raises `UsageError` where the episode has no labels or no questions.
    """
    stream, query = episode.stream, episode.query
    if query is None or stream.y is None:
        raise UsageError("this episode has no labelled questions: use a few-shot task")
    taught = stream.y.reshape(classes, -1, stream.y.shape[-1])[:, 0].argmax(-1)
    return (query.y.argmax(-1)[:, None] == taught).argmax(-1)


def forgetting(transfer: jax.Array) -> Scalar:
    """F = mean over j < K of R[K, j] - R[j, j]; negative where what came later helped."""
    return (transfer[-1] - jnp.diagonal(transfer))[:-1].mean()


def seen_so_far(matrix: jax.Array) -> jax.Array:
    """Mean of `matrix[i, j]` over the tasks j <= i met after task i, [tasks]: of `retention`, the
    accuracy by the number of classes seen."""
    seen = jnp.tril(jnp.ones_like(matrix))
    return (matrix * seen).sum(1) / seen.sum(1)
