"""A lifetime whose learner is another one in every segment, and the loss of each segment; or one
segment alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ..learners.base import AbstractLearner, Life
from ..learners.lifetime import Lived, Moment, Verdict, judge, perceive_stream, stepper
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
    return losses.at[-1].add(_asked(last, life, episode).loss)


def live_segment(
    learner: AbstractLearner,
    life: Life,
    episode: Episode,
    index: jax.Array,
    segment: int,
    *,
    key: Key,
) -> tuple[Life, Verdict]:
    """Segment `index` of a lifetime, and at the lifetime's end the questions.

    Loss and metric are shares: over segments they sum to the lifetime's. `key` is that of all
    steps. Where `segment` does not divide the stream, the last segment is shorter.
    """
    stream, length = episode.stream, episode.stream.x.shape[0]
    times = index * segment + jnp.arange(segment, dtype=jnp.int32)
    # Beyond its end the last moment stands in, which then neither happens nor counts.
    own = jax.tree.map(lambda leaf: leaf[jnp.minimum(times, length - 1)], stream)
    mask, weight = own.mask, own.weight
    if length % segment:
        real = times < length
        mask = real if mask is None else mask & real
        weight = None if weight is None else jnp.where(real, weight, 0)
    moments = Moment(perceive_stream(learner, own.x), own.y, mask, times)
    life, outputs = jax.lax.scan(stepper(learner, key=key), life, moments)
    part = Episode(Stream(own.x, None, own.target, weight), None, episode.criterion)
    found = judge(part, Lived(life, outputs, None))
    if episode.query is not None:
        ask = partial(_asked, learner, life, episode)
        nothing = jax.tree.map(lambda own: jnp.zeros(own.shape, own.dtype), jax.eval_shape(ask))
        last = index == -(-length // segment) - 1
        asked = jax.lax.cond(last, ask, lambda: nothing)
        return life, Verdict(found.loss + asked.loss, asked.metric)
    if weight is None or stream.weight is None:
        return life, found
    share = weight.sum()
    # A segment without a weight has no mean.
    metric = jnp.where(share > 0, found.metric * share / stream.weight.sum(), 0)
    return life, Verdict(found.loss, metric)


def _asked(learner: AbstractLearner, life: Life, episode: Episode) -> Verdict:
    """Loss and metric of the questions alone."""
    assert episode.query is not None
    answers = learner.predict(life, learner.perceive(episode.query.x))
    stream = Stream(episode.stream.x, None, None, None)
    questions = Episode(stream, episode.query, episode.criterion)
    return judge(questions, Lived(life, answers, answers))
