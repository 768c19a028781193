"""One function of the plane per lifetime: points of two classes, others to be named."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError, unknown
from .._types import Key
from ._counts import check_counts
from ._permute import permuted
from ._plane import FUNCTIONS, randomness
from .base import AbstractTask, Episode, Query, Stream
from .criteria import CLASSIFICATION, REGRESSION, Criterion


class PlaneFunctions(AbstractTask):
    """Which of two classes a point of [-1, 1]^2 belongs to, for one of several functions.

    A lifetime draws a function, then `moments` batches of fresh points, each with +1 at the output
    of its class and -1 at the other, then `queries` fresh points are to be named. The loss is the
    mean squared error. Meta-testing draws from other functions. There are: and, or, nand, nor,
    xor, nxor, rotated_and, rotated_xor, cross, triangle, slice, circle, square, ring, two_moons,
    circles, blobs. Sandler et al. (2021), "Meta-learning bidirectional update rules", section 4.1;
    moments are updates: what the paper counts as n unrolls are n - 1 moments and the questions.
    """

    criterion: ClassVar[Criterion] = Criterion(
        REGRESSION.loss,
        CLASSIFICATION.metric,
        CLASSIFICATION.score,
        True,
        "squared_error",
        REGRESSION.rule_factor,
    )

    functions: tuple[str, ...] = eqx.field(
        static=True, default=("xor", "and", "two_moons", "circles", "slice", "nor")
    )
    """Functions of meta-training."""
    held: tuple[str, ...] = eqx.field(
        static=True, default=("nxor", "or", "rotated_and", "cross", "triangle")
    )
    """Functions of meta-testing."""
    moments: int = eqx.field(static=True, default=10)
    """Batches of a lifetime."""
    batch: int = eqx.field(static=True, default=128)
    """Points of a moment."""
    queries: int = eqx.field(static=True, default=128)
    """Points asked for at the end."""
    permute: bool = eqx.field(static=True, default=False)
    """The coordinates in an order of their own in every lifetime."""

    def __check_init__(self):
        check_counts(self, "moments", "batch", "queries")
        for option in ("functions", "held"):
            if not getattr(self, option):
                raise UsageError(f"--task.{option}: name at least one function of the plane")
            for name in getattr(self, option):
                if name not in FUNCTIONS:
                    raise unknown("function of the plane", name, FUNCTIONS)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (2,)

    @property
    def outputs(self) -> int:
        return 2

    def held_out(self) -> "PlaneFunctions":
        return dataclasses.replace(self, functions=self.held)

    def sample(self, key: Key) -> Episode:
        which_key, point_key = jr.split(key)
        shown = self.moments * self.batch
        random = randomness(point_key, shown + self.queries)
        which = jr.randint(which_key, (), 0, len(self.functions))
        x, second = jax.tree.map(
            lambda *own: jnp.stack(own)[which],
            *(FUNCTIONS[name](*random) for name in self.functions),
        )
        second = second[:, None]
        y = jnp.where(jnp.concatenate([second, ~second], 1), -1.0, 1.0)

        def batches(points: jax.Array) -> jax.Array:
            return points[:shown].reshape(self.moments, self.batch, 2)

        stream = Stream(batches(x), batches(y), None, None)
        episode = Episode(stream, Query(x[shown:], y[shown:]), self.criterion)
        return permuted(episode, key=jr.fold_in(key, 2)) if self.permute else episode
