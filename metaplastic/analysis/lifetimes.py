"""What the changes within a lifetime do: which way they point, and what they undo.

Every function takes one episode; `jax.vmap` over episodes and keys gives a sample of them. After
the questions that Lindsey & Litwin-Kumar (2020), "Learning to learn with feedback and local
plasticity", section 7, ask of feedback and local plasticity; the measures are our own definitions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key, Scalar
from ..learners.lifetime import Moment, moments, stepper
from ..learners.online import OnlineLearner, OnlineLife
from ..models import AbstractNetwork, plastic_layers
from ..tasks.base import Episode
from .retention import by_task, questions_by_task


class Alignment(NamedTuple):
    """The change of each moment beside the negative gradient of that moment's own loss; NaN at
    moments that a lifetime lacks (`Stream.mask`)."""

    cosine: jax.Array
    """<dW_l, -g_l> / (|dW_l| |g_l|) of every layer that is not frozen, [time, layers]; 0 where one
    of them vanishes."""
    overall: jax.Array
    """The same of all layers together, [time]."""
    before: jax.Array
    """Loss of the moment's batch before the change, [time]."""
    after: jax.Array
    """And after it, [time]."""
    expected: jax.Array
    """The decrease to first order, -<dW, g>, [time]."""


class Interference(NamedTuple):
    """What the changes by one task do to the others; tasks in the order learned."""

    first_order: jax.Array
    """I[i, j] = -<dW of task i, g_j at its start>, [tasks, tasks]: positive where learning i helps
    j, to first order."""
    cosine: jax.Array
    """Between the summed changes of two tasks, [tasks, tasks]."""
    centred: jax.Array
    """The same less the mean change over tasks."""
    gradient_cosine: jax.Array
    """Between the summed negative gradients of the tasks, at the weights that were visited."""
    gradient_centred: jax.Array
    """The same less their mean."""


def update_alignment(
    learner: OnlineLearner,
    episode: Episode,
    *,
    proposer: OnlineLearner | None = None,
    key: Key,
) -> Alignment:
    """How far the changes of a lifetime follow the gradient, and what they do to the loss.

    cos_l(t) = <dW_l(t), -dL_t/dW_l> / (|dW_l| |dL_t/dW_l|), `L_t` the loss of moment t's batch at
    the weights of that moment; dW as applied. Biases are left out. With `proposer` the changes are
    those that it would have made at the same weights (`lesions.evened`, say), which are not lived.
    """
    birth_key, step_key = jr.split(key)
    live = stepper(learner, key=step_key)
    propose = live if proposer is None else stepper(proposer, key=step_key)

    def step(life: OnlineLife, moment: Moment) -> tuple[OnlineLife, Alignment]:
        mine = life if proposer is None else eqx.tree_at(_rule, life, proposer.state)
        after, _ = propose(mine, moment)
        change = _difference(after.model, life.model)
        before, gradient = _gradient(learner, life, moment.x, moment.y, episode)
        new, _ = _gradient(learner, after, moment.x, moment.y, episode)
        cosine = jnp.stack([-_cosine(a, b) for a, b in zip(change, gradient, strict=True)])
        overall = -_cosine(_joined(change), _joined(gradient))
        expected = -_joined(change) @ _joined(gradient)
        following = after if proposer is None else live(life, moment)[0]
        return following, _where(moment.happens, Alignment(cosine, overall, before, new, expected))

    life = learner.birth(key=birth_key)
    return jax.lax.scan(step, life, moments(learner, episode.stream))[1]


def interference(
    learner: OnlineLearner,
    episode: Episode,
    tasks: int,
    *,
    groups: jax.Array | None = None,
    key: Key,
) -> Interference:
    """What the changes by one task of a lifetime do to the others, learned one after the other.

    Arguments and errors are those of `retention`, which measures what is left of each task.
    """
    query, belongs = questions_by_task(episode, tasks, groups)
    asked, stream = learner.perceive(query.x), moments(learner, episode.stream)
    birth_key, step_key = jr.split(key)
    step = stepper(learner, key=step_key)

    def losses(network: AbstractNetwork, life: OnlineLife) -> jax.Array:
        answers = learner.rule.predict(network, life.rule, asked)
        return episode.criterion.loss(answers, query.y) @ belongs

    def moment(carry: tuple[OnlineLife, jax.Array], own: Moment) -> tuple[Any, None]:
        life, total = carry
        gradient = _joined(_gradient(learner, life, own.x, own.y, episode)[1])
        if own.happens is not None:
            gradient = jnp.where(own.happens, gradient, 0)
        return (step(life, own)[0], total - gradient), None

    def task(life: OnlineLife, own: Moment) -> tuple[OnlineLife, tuple[jax.Array, ...]]:
        start = _joined(_weights(life.model))
        towards = _slopes(lambda net: losses(net, life), learner, life)
        (life, descent), _ = jax.lax.scan(moment, (life, jnp.zeros_like(start)), own)
        change = _joined(_weights(life.model)) - start
        return life, (-towards @ change, change, descent)

    life = learner.birth(key=birth_key)
    _, (first_order, change, descent) = jax.lax.scan(task, life, by_task(stream, tasks))
    return Interference(
        first_order,
        _cosines(change),
        _cosines(change - change.mean(0)),
        _cosines(descent),
        _cosines(descent - descent.mean(0)),
    )


def _where(happens: jax.Array | None, found: Alignment) -> Alignment:
    """NaN where nothing happens: what is not there has no direction."""
    if happens is None:
        return found
    return jax.tree.map(lambda own: jnp.where(happens, own, jnp.nan), found)


def _gradient(
    learner: OnlineLearner, life: OnlineLife, x: jax.Array, y: jax.Array | None, episode: Episode
) -> tuple[Scalar, list[jax.Array]]:
    """Loss of a batch at the weights of `life`, and its gradient, one array a layer."""
    if y is None:
        raise UsageError("this task tells the learner no targets, so its moments have no gradient")

    def loss(own: list[jax.Array]) -> Scalar:
        network = _with_weights(learner.network(life), own)
        return episode.criterion.loss(learner.rule.predict(network, life.rule, x), y).mean()

    return jax.value_and_grad(loss)(_weights(life.model))


def _slopes(
    losses: Callable[[AbstractNetwork], jax.Array], learner: OnlineLearner, life: OnlineLife
) -> jax.Array:
    """Gradients of several losses, [losses, synapses]."""
    network = learner.network(life)
    rows = jax.jacrev(lambda own: losses(_with_weights(network, own)))(_weights(life.model))
    return jnp.concatenate([own.reshape(own.shape[0], -1) for own in rows], axis=1)


def _rule(life: OnlineLife) -> Any:
    return life.rule


def _weights(model: Any) -> list[Any]:
    return [layer.weight for layer in plastic_layers(model)]


def _with_weights(network: AbstractNetwork, own: list[jax.Array]) -> AbstractNetwork:
    return eqx.tree_at(_weights, network, own)


def _difference(after: Any, before: Any) -> list[jax.Array]:
    return [a - b for a, b in zip(_weights(after), _weights(before), strict=True)]


def _joined(arrays: list[jax.Array]) -> jax.Array:
    return jnp.concatenate([own.reshape(-1) for own in arrays])


def _cosine(a: jax.Array, b: jax.Array) -> jax.Array:
    a, b = a.reshape(-1), b.reshape(-1)
    norms = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    return jnp.where(norms > 0, a @ b / jnp.where(norms > 0, norms, 1), 0)


def _cosines(rows: jax.Array) -> jax.Array:
    norms = jnp.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / jnp.where(norms > 0, norms, 1)
    return rows @ rows.T
