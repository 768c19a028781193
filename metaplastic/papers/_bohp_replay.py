"""Replays the published runs of Miconi (2016), episode by episode, from their random numbers.

The streams are those of NumPy's legacy generator, seeded by the number of the run; gradient,
optimiser and network are this package's own, in float64.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..learners.hebbian import HebbianLearner, hebbian
from ..meta.hebbian_recursion import HebbianRecursion
from ..tasks.base import Episode
from ..tasks.criteria import CLASSIFICATION
from ..train.meta_trainer import MetaTrainer
from ._bohp_protocol import Protocol


class Replay(NamedTuple):
    """What a run leaves; leading axis: seeds."""

    error: np.ndarray
    """The published error of every episode, [seeds, episodes]."""
    metric: np.ndarray
    """Accuracy, or the part of wrong signs, [seeds, episodes]."""
    learner: Any
    """The networks at the end, stacked."""


class _Draws(NamedTuple):
    w: np.ndarray
    alpha: np.ndarray
    bias: np.ndarray
    v: np.ndarray
    output_bias: np.ndarray
    patterns: np.ndarray
    """[episodes, 1 or 2, bits] of -1 and +1."""
    kept: np.ndarray
    """Bit that the cue keeps, [episodes]."""


def draw(protocol: Protocol, seed: int, episodes: int) -> _Draws:
    """The random numbers of the authors' run `seed`, in the order in which they were drawn."""
    task = protocol.make_task()
    inputs, units, outputs = task.input_shape[0], task.outputs, task.outputs
    source = np.random.RandomState(seed)
    w = 0.1 * source.randn(units, inputs)
    bias = 0.1 * source.randn(units)
    v = np.abs(0.1 * source.randn(outputs, units))
    output_bias = 0.1 * source.randn(outputs)
    alpha = 0.1 * source.randn(units, inputs)
    completion = protocol.task == "pattern_completion"

    def pattern() -> np.ndarray:
        return np.where(source.rand(8, 1) > 0.5, 1, -1)[:, 0].astype(np.int8)

    patterns, kept = [], []
    for _ in range(episodes):
        first = pattern()
        if completion:
            patterns.append([first])
            kept.append(source.randint(8))
            continue
        second = pattern()
        while (second == first).all():
            second = pattern()
        patterns.append([first, second])
        kept.append(0)
    return _Draws(w.T, alpha.T, bias, v.T, output_bias, np.array(patterns), np.array(kept))


def replay(
    protocol: Protocol,
    seeds: Sequence[int] = range(20),
    *,
    gamma: float | None = None,
    episodes: int | None = None,
    gradient: Literal["reference", "exact"] = "reference",
) -> Replay:
    """The authors' runs, as they computed them or with the exact gradient, in float64.

    `episodes`: stop early (the last 500 of a whole run are frozen).
    """
    total = episodes or protocol.episodes
    drawn = [draw(protocol, seed, total) for seed in seeds]
    draws = _Draws(*(np.stack(each) for each in zip(*drawn, strict=True)))
    with jax.enable_x64(True):
        error, metric, learner = _run(protocol, draws, gamma or protocol.gamma, gradient)
        return Replay(
            np.asarray(error) / protocol.judged, np.asarray(metric), jax.device_get(learner)
        )


def _run(protocol: Protocol, draws: _Draws, gamma: float, gradient: str) -> Any:
    task: Any = protocol.make_task()
    mode: Any = {"slope": gradient, "bias": "direct" if gradient == "reference" else "exact"}

    def build(key: jax.Array) -> HebbianLearner:
        return hebbian(task, eta=1 - gamma, key=key)

    trainer = MetaTrainer(build, task, HebbianRecursion(**mode), protocol.options())
    completion = protocol.task == "pattern_completion"

    def episode(patterns: jax.Array, kept: jax.Array) -> Episode:
        patterns = patterns.astype(float)
        if completion:
            return task.episode(patterns[0], kept)
        own = task.episode(patterns, jnp.arange(task.moments) % 2)
        return dataclasses.replace(own, criterion=_SOFTMAX)

    def one(draws: _Draws) -> Any:
        learner = _born(build(jax.random.key(0)), draws)
        key = jax.random.key(0)

        def advance(replica: Any, now: Any) -> Any:
            patterns, kept, step = now
            episodes = jax.tree.map(lambda leaf: leaf[None], episode(patterns, kept))
            return trainer.meta_step(replica, episodes, step, key=key)

        steps = jnp.arange(draws.kept.shape[0], dtype=jnp.int32)
        replica, metrics = jax.lax.scan(
            advance, trainer.replica(learner, key), (draws.patterns, draws.kept, steps)
        )
        return metrics.loss, metrics.metric, replica.learner

    return jax.jit(jax.vmap(one))(jax.tree.map(jnp.asarray, draws))


def _born(learner: HebbianLearner, draws: _Draws) -> HebbianLearner:
    """The network with the authors' initial weights."""

    def where(own: Any) -> tuple[Any, ...]:
        layer = own.layers[0]
        some = (layer.weight, layer.plasticity.alpha, layer.bias, own.readout.bias)
        return some if own.readout.weight is None else (*some, own.readout.weight)

    some = (draws.w, draws.alpha, draws.bias, draws.output_bias)
    values = some if learner.readout.weight is None else (*some, draws.v)
    return eqx.tree_at(where, learner, values)


def _cross_entropy(output: jax.Array, target: jax.Array) -> jax.Array:
    # The released code adds this to the denominator of the softmax.
    log_sum = jnp.log(1e-8 + jnp.exp(output).sum(-1))
    return log_sum - (target * output).sum(-1)


_SOFTMAX = CLASSIFICATION._replace(loss=_cross_entropy)
