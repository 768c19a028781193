"""One lifetime of a learner: a scan over the moments of an episode, and its loss."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key, Scalar
from ..tasks.base import Episode
from ._moments import (
    Moment as Moment,
    moments as moments,
    perceive_stream as perceive_stream,
    stepper as stepper,
)
from .base import AbstractLearner, Life

Scan = Callable[[Callable[..., tuple[Any, Any]], Any, Any], tuple[Any, Any]]
"""`scan(step, life, moments) -> (life, outputs)`: how the moments of a lifetime follow each other.
Estimators that differentiate a lifetime otherwise replace `jax.lax.scan` here."""


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
    step, moments = learner.unfold(episode.stream, key=step_key)
    life, outputs = scan(step, learner.birth(key=birth_key), moments)
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
