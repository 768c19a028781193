"""One sine curve per lifetime: a few points to learn from, others to answer for."""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ._counts import check_counts
from .base import AbstractTask, Episode, Query, Stream
from .criteria import REGRESSION, Criterion


class Sinusoid(AbstractTask):
    """y = a sin(x - phi) with a ~ U[lowest, highest], phi ~ U[0, pi), x ~ U[-5, 5].

    A lifetime has `moments` steps, each with a batch of `shots` points of the same curve: the same
    points each time (`repeat`: gradient descent on the support set, as MAML's inner loop), or fresh
    ones. Then `queries` other points are asked for. Finn, Abbeel & Levine (2017), "Model-agnostic
    meta-learning", section 5.1.
    """

    criterion: ClassVar[Criterion] = REGRESSION

    shots: int = eqx.field(static=True, default=10)
    """Points of a moment."""
    moments: int = eqx.field(static=True, default=1)
    """Steps of learning in a lifetime."""
    queries: int = eqx.field(static=True, default=10)
    """Points asked for at the end."""
    repeat: bool = eqx.field(static=True, default=True)
    """The same points at every moment, or fresh ones."""
    lowest: float = eqx.field(static=True, default=0.1)
    """Smallest amplitude."""
    highest: float = eqx.field(static=True, default=5.0)
    """Largest amplitude."""

    def __check_init__(self):
        check_counts(self, "shots", "moments", "queries")
        if not self.lowest <= self.highest:
            raise UsageError(
                f"--task.lowest {self.lowest} is above --task.highest {self.highest}: swap them"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (1,)

    @property
    def outputs(self) -> int:
        return 1

    def sample(self, key: Key) -> Episode:
        curve_key, support_key, query_key = jr.split(key, 3)
        amplitude, phase = jr.uniform(curve_key, (2,))
        amplitude = self.lowest + (self.highest - self.lowest) * amplitude

        def curve(x: jax.Array) -> jax.Array:
            return amplitude * jnp.sin(x - math.pi * phase)

        drawn = (1 if self.repeat else self.moments, self.shots, 1)
        x = jr.uniform(support_key, drawn, minval=-5.0, maxval=5.0)
        x = jnp.broadcast_to(x, (self.moments, self.shots, 1))
        asked = jr.uniform(query_key, (self.queries, 1), minval=-5.0, maxval=5.0)
        stream = Stream(x, curve(x), None, None)
        return Episode(stream, Query(asked, curve(asked)), self.criterion)
