"""A lifetime whose learner is another one in every segment, and the loss of each segment."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ..learners.base import AbstractLearner, Life
from ..learners.lifetime import Lived, Moment, judge, perceive_stream, stepper
from ..tasks.base import Episode, Stream


def segmented_losses(
    learner_of: Callable[[jax.Array], AbstractLearner],
    episode: Episode,
    segment: int,
    *,
    key: Key,
) -> jax.Array:
    """Losses of the segments of a lifetime, [segments]; their sum is the lifetime's loss.

    `learner_of(index)` lives through segment `index`; the first one gives birth, the last one
    answers the questions. Keys are those of `lifetime`. Where `segment` does not divide the
    stream, the first segment is shorter.
    """
    birth_key, step_key = jr.split(key)
    length = episode.stream.x.shape[0]
    moments = (episode.stream, jnp.arange(length, dtype=jnp.int32))

    def live(life: Life, own: Any) -> tuple[Life, jax.Array]:
        index, (stream, times) = own
        learner = learner_of(index)
        own = Moment(perceive_stream(learner, stream.x), stream.y, stream.mask, times)
        life, outputs = jax.lax.scan(stepper(learner, key=step_key), life, own)
        part = Episode(stream, None, episode.criterion)
        return life, judge(part, Lived(life, outputs, None)).loss

    first = (length - 1) % segment + 1
    start = jax.tree.map(lambda leaf: leaf[:first], moments)
    rest = jax.tree.map(lambda leaf: leaf[first:].reshape(-1, segment, *leaf.shape[1:]), moments)
    zero = jnp.zeros((), jnp.int32)
    life = learner_of(zero).birth(key=birth_key)
    life, loss = live(life, (zero, start))
    indices = jnp.arange(1, rest[1].shape[0] + 1, dtype=jnp.int32)
    life, losses = jax.lax.scan(live, life, (indices, rest))
    losses = jnp.concatenate([loss[None], losses])
    if episode.query is None:
        return losses
    last = learner_of(jnp.asarray(losses.shape[0] - 1, jnp.int32))
    answers = last.predict(life, last.perceive(episode.query.x))
    questions = Episode(
        Stream(episode.stream.x, None, None, None), episode.query, episode.criterion
    )
    asked = judge(questions, Lived(life, answers, answers)).loss
    return losses.at[-1].add(asked)
