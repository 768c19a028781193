"""The small tasks on which learners and estimators are tried."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ..tasks.base import AbstractTask, Episode, Query, Stream
from ..tasks.criteria import CLASSIFICATION, PATTERNS, Criterion
from ..tasks.sinusoid import Sinusoid

MOMENTS = 4


class Clusters(AbstractTask):
    """Gaussian clusters, one a class, drawn anew for each lifetime."""

    criterion: ClassVar[Criterion] = CLASSIFICATION

    input_shape: tuple[int, ...] = eqx.field(static=True, default=(6,))
    outputs: int = eqx.field(static=True, default=3)

    def sample(self, key: Key) -> Episode:
        centre_key, stream_key, query_key = jr.split(key, 3)
        centres = jr.normal(centre_key, (self.outputs, *self.input_shape))
        classes = jnp.eye(self.outputs)
        noise = jr.normal(stream_key, (MOMENTS, *centres.shape))
        y = jnp.broadcast_to(classes, (MOMENTS, *classes.shape))
        stream = Stream(centres + 0.3 * noise, y, None, None)
        asked = centres + 0.3 * jr.normal(query_key, centres.shape)
        return Episode(stream, Query(asked, classes), self.criterion)


class Recall(AbstractTask):
    """Patterns of -1 and 1 that come and are asked for again; nothing is told beside them."""

    criterion: ClassVar[Criterion] = PATTERNS

    bits: int = eqx.field(static=True, default=5)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.bits,)

    @property
    def outputs(self) -> int:
        return self.bits

    def sample(self, key: Key) -> Episode:
        drawn = jr.rademacher(key, (MOMENTS // 2, 1, self.bits), jnp.result_type(float))
        x = jnp.concatenate([drawn, drawn.at[..., 0].set(0.0)])
        weight = jnp.repeat(jnp.asarray([0.0, 1.0]), MOMENTS // 2)
        target = jnp.concatenate([drawn, drawn])
        return Episode(Stream(x, None, target, weight), None, self.criterion)


SMALL: tuple[AbstractTask, ...] = (
    Sinusoid(shots=3, moments=MOMENTS, queries=2),
    Recall(),
    Clusters(),
    Clusters(input_shape=(32, 32, 1)),
)
"""Curves, patterns, vectors of classes, images of classes."""


def sampled(task: AbstractTask, *, key: Key, count: int = 2) -> Episode:
    """Some episodes of a task, stacked, their numbers in float64."""
    drawn = jax.vmap(task.sample)(jr.split(key, count))
    return jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf, drawn
    )


def first(episodes: Episode) -> Episode:
    """The first of stacked episodes."""
    return jax.tree.map(lambda leaf: leaf[0], episodes)
