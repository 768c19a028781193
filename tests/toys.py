"""The smallest learner and task there are: a linear unit, a line, the delta rule."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from metaplastic.learners.base import AbstractLearner
from metaplastic.tasks.base import AbstractTask, Episode, Query, Stream
from metaplastic.tasks.criteria import REGRESSION, Criterion


class Line(AbstractTask):
    """y = a x with a ~ N(0, 1); `poison` makes the inputs of one moment infinite."""

    criterion: ClassVar[Criterion] = REGRESSION

    moments: int = eqx.field(static=True, default=3)
    poison: int | None = eqx.field(static=True, default=None)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (1,)

    @property
    def outputs(self) -> int:
        return 1

    def sample(self, key: jax.Array) -> Episode:
        slope_key, x_key, query_key = jr.split(key, 3)
        slope = jr.normal(slope_key)
        x = jr.normal(x_key, (self.moments, 2, 1))
        if self.poison is not None:
            x = x.at[self.poison].set(jnp.inf)
        asked = jr.normal(query_key, (4, 1))
        return Episode(Stream(x, slope * x, None, None), Query(asked, slope * asked), REGRESSION)


class Delta(AbstractLearner):
    """w <- w - rate mean((w x - y) x); where it starts and how fast it goes are learned."""

    start: jax.Array
    rate: jax.Array

    def birth(self, *, key: jax.Array) -> jax.Array:
        del key
        return self.start

    def step(self, life, x, y, *, key):
        del key
        output = x * life
        if y is None:
            return life, output
        return life - self.rate * ((output - y) * x).mean(0), output

    def predict(self, life, x):
        return x * life

    def inherit(self, life) -> "Delta":
        return eqx.tree_at(lambda own: own.start, self, life)


def delta(key: jax.Array) -> Delta:
    """A learner that starts at random."""
    return Delta(jr.normal(key, (1,)), jnp.full((1,), 0.1))


def equal(a, b) -> None:
    """Assert that two trees hold the same numbers, bit by bit; keys are left out."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(x, y)
