"""Lifetimes so simple that their derivatives can be written down."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from metaplastic.learners.base import AbstractLearner
from metaplastic.tasks.base import Episode, Query, Stream
from metaplastic.tasks.criteria import Criterion


def _squared(output: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.square(output - target).sum(-1)


def _plain(output: jax.Array, target: jax.Array) -> jax.Array:
    del target
    return output.sum(-1)


SQUARED = Criterion(_squared, "error", _squared, False, "squared_error")
LINEAR = Criterion(_plain, "output", _plain, False, "squared_error")


class Leaky(AbstractLearner):
    """life_0 = start, output_t = life_t, life_{t+1} = decay life_t + gain x_t; each a vector."""

    start: jax.Array
    decay: jax.Array
    gain: jax.Array

    def birth(self, *, key):
        del key
        return self.start

    def step(self, life, x, y, *, key):
        del y, key
        return self.decay * life + self.gain * x[0], life[None]

    def predict(self, life, x):
        return jnp.broadcast_to(life, (x.shape[0], *life.shape))


def leaky(*, size: int = 2) -> Leaky:
    """A learner in float64 whose arrays differ from one another."""
    ramp = jnp.linspace(0.5, 1.0, size)
    return Leaky(ramp, 0.9 * ramp, 1.3 - ramp)


def episodes(
    x: jax.Array,
    *,
    target: jax.Array | None = None,
    asked: jax.Array | None = None,
    criterion: Criterion = SQUARED,
) -> Episode:
    """Episodes with inputs `x` [episodes, time, size], targets alike, and a question each,
    `asked` [episodes, size]."""
    stream = Stream(
        x[:, :, None],
        None,
        None if target is None else target[:, :, None],
        None if target is None else jnp.ones(x.shape[:2], x.dtype),
    )
    query = None if asked is None else Query(jnp.zeros_like(asked)[:, None], asked[:, None])
    return Episode(stream, query, criterion)


def compiled(function: Any) -> Any:
    """The function compiled, without the optimisations that take longer than they save here."""
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return eqx.filter_jit(function, compiler_options=options)


def flat(tree: Any) -> jax.Array:
    """All inexact arrays of a tree as one vector."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])
