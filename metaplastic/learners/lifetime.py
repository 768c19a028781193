"""One lifetime of a learner: a scan over the moments of an episode, and its loss."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key, Scalar
from ..tasks.base import Episode, Stream
from .base import AbstractLearner, Life

Scan = Callable[[Callable[..., tuple[Any, Any]], Any, Any], tuple[Any, Any]]
"""`scan(step, life, moments) -> (life, outputs)`: how the moments of a lifetime follow each other.
Estimators that differentiate a lifetime otherwise replace `jax.lax.scan` here."""


class Moment(eqx.Module):
    """What one moment brings; with a leading axis, all moments of a lifetime."""

    x: jax.Array
    y: jax.Array | None
    happens: jax.Array | None
    """Does it happen at all? None: yes."""
    index: jax.Array


class Lived(eqx.Module):
    """What a lifetime left."""

    life: Life
    """Fast state at its end."""
    outputs: jax.Array
    """Answers, moment by moment, [time, batch, outputs]."""
    answers: jax.Array | None
    """To the questions at its end, [questions, outputs]; None where there are none."""


class Verdict(eqx.Module):
    """Loss and metric of one lifetime; scalars."""

    loss: Scalar
    metric: Scalar


def lifetime(
    learner: AbstractLearner, episode: Episode, *, key: Key, scan: Scan = jax.lax.scan
) -> Lived:
    """Live through the stream of an episode, then answer its questions."""
    birth_key, step_key = jr.split(key)
    step = stepper(learner, key=step_key)
    life, outputs = scan(step, learner.birth(key=birth_key), moments(learner, episode.stream))
    answers = None
    if episode.query is not None:
        answers = learner.predict(life, learner.perceive(episode.query.x))
    return Lived(life, outputs, answers)


def judge(episode: Episode, lived: Lived) -> Verdict:
    """Loss and metric of a lifetime.

    loss = sum_t weight_t mean_batch l(output_t, target_t) + mean l(answers, query)

    The metric is that of the questions where there are any, else the weighted mean of the moments.
    """
    stream, query, criterion = episode.stream, episode.query, episode.criterion
    loss, metric = jnp.zeros(()), jnp.zeros(())
    if stream.target is not None and stream.weight is not None:
        losses = criterion.loss(lived.outputs, stream.target).mean(-1)
        scores = criterion.score(lived.outputs, stream.target).mean(-1)
        loss = (stream.weight * losses).sum()
        metric = (stream.weight * scores).sum() / stream.weight.sum()
    if query is not None and lived.answers is not None:
        loss = loss + criterion.loss(lived.answers, query.y).mean()
        metric = criterion.score(lived.answers, query.y).mean()
    return Verdict(loss, metric)


def live(
    learner: AbstractLearner, episode: Episode, *, key: Key, scan: Scan = jax.lax.scan
) -> Verdict:
    """`judge` of a `lifetime`."""
    return judge(episode, lifetime(learner, episode, key=key, scan=scan))


def stepper(
    learner: AbstractLearner, *, key: Key
) -> Callable[[Life, Moment], tuple[Life, jax.Array]]:
    """What a scan over `moments` does at each of them; `key` is that of all steps."""

    def step(life: Life, moment: Moment) -> tuple[Life, jax.Array]:
        own = jr.fold_in(key, moment.index)
        after, output = learner.step(life, moment.x, moment.y, key=own)
        if moment.happens is not None:
            after = jax.tree.map(partial(jnp.where, moment.happens), after, life)
        return after, output

    return step


def moments(learner: AbstractLearner, stream: Stream) -> Moment:
    """The stream as the learner perceives it, to scan over.

    Raises `UsageError` for a stream without moments.
    """
    count = stream.x.shape[0]
    if count == 0:
        raise UsageError("this episode has a stream of no moments: a lifetime needs at least one")
    return Moment(perceive_stream(learner, stream.x), stream.y, stream.mask, jnp.arange(count))


def perceive_stream(learner: AbstractLearner, x: jax.Array) -> jax.Array:
    """`learner.perceive` of all moments at once, [time, batch, ...]."""
    flat = learner.perceive(x.reshape(-1, *x.shape[2:]))
    return flat.reshape(*x.shape[:2], *flat.shape[1:])
