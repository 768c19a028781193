"""Several sine curves in one lifetime, told apart by a cue: one after the other, or mixed."""

import dataclasses
import math
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ._counts import check_counts
from .base import AbstractTask, Episode, Query, Stream
from .criteria import REGRESSION, Criterion


class SinusoidSequence(AbstractTask):
    """y_k = a_k sin(x + phi_k), k = 1..functions; a ~ U[lowest, highest), phi ~ U[0, pi).

    A lifetime has `batches` moments a function, each with `shots` fresh points x ~ U[-5, 5] of that
    one function; the input is a one-hot cue of the function, then x. In `continual` order the
    functions come one after the other, in `iid` order their moments are shuffled. At the end
    `queries` points of each function are asked for, in the functions' order. Lindsey &
    Litwin-Kumar (2020), "Learning to learn with feedback and local plasticity", whose sizes are the
    defaults, after Javed & White (2019), "Meta-learning representations for continual learning".
    """

    criterion: ClassVar[Criterion] = REGRESSION

    functions: int = eqx.field(static=True, default=10)
    """Curves of a lifetime."""
    batches: int = eqx.field(static=True, default=40)
    """Moments of each curve."""
    shots: int = eqx.field(static=True, default=32)
    """Points of a moment."""
    queries: int = eqx.field(static=True, default=32)
    """Points of each curve that are asked for at the end."""
    order: Literal["continual", "iid"] = eqx.field(static=True, default="continual")
    """One curve after the other, or all moments shuffled."""
    vary_length: bool = eqx.field(static=True, default=False)
    """Each lifetime has from a tenth of `batches` to all of them of every curve; those that it
    lacks are left out of its stream by `mask`, so that shapes stay."""
    pool: int = eqx.field(static=True, default=0)
    """Curves drawn once, of which every lifetime takes some; 0: new curves in every lifetime.
    Meta-testing always has new ones. The published code has 400."""
    pool_seed: int = eqx.field(static=True, default=0)
    """Which pool."""
    lowest: float = eqx.field(static=True, default=0.1)
    """Smallest amplitude."""
    highest: float = eqx.field(static=True, default=5.1)
    """Largest amplitude."""

    def __check_init__(self):
        check_counts(self, "functions", "batches", "shots", "queries")
        if self.pool < 0 or 0 < self.pool < self.functions:
            raise UsageError(
                f"--task.pool {self.pool}: a lifetime takes {self.functions} different curves from "
                "it, so it needs at least as many, or 0 for new ones"
            )
        if not self.lowest <= self.highest:
            raise UsageError(
                f"--task.lowest {self.lowest} is above --task.highest {self.highest}: swap them"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.functions + 1,)

    @property
    def outputs(self) -> int:
        return 1

    def held_out(self) -> "SinusoidSequence":
        return dataclasses.replace(self, pool=0)

    def sample(self, key: Key) -> Episode:
        curve_key, support_key, query_key, order_key, length_key = jr.split(key, 5)
        curves = self._curves(curve_key)
        support = (self.functions, self.batches, self.shots)
        x, y = self._points(curves, support, key=support_key)
        happens = jnp.broadcast_to(self._happens(length_key), support[:2])
        order = jnp.arange(self.functions * self.batches)
        if self.order == "iid":
            order = jr.permutation(order_key, order)
        x, y, happens = (own.reshape(-1, *own.shape[2:])[order] for own in (x, y, happens))
        asked, answers = self._points(curves, (self.functions, self.queries), key=query_key)
        query = Query(asked.reshape(-1, self.functions + 1), answers.reshape(-1, 1))
        stream = Stream(x, y, None, None, happens if self.vary_length else None)
        return Episode(stream, query, self.criterion)

    def _curves(self, key: Key) -> tuple[jax.Array, jax.Array]:
        """Amplitudes and phases of this lifetime, [functions] each."""
        count = self.pool or self.functions
        drawn = jr.uniform(jr.key(self.pool_seed) if self.pool else key, (2, count))
        if self.pool:
            drawn = drawn[:, jr.choice(key, self.pool, (self.functions,), replace=False)]
        return self.lowest + (self.highest - self.lowest) * drawn[0], math.pi * drawn[1]

    def _points(
        self, curves: tuple[jax.Array, jax.Array], shape: tuple[int, ...], *, key: Key
    ) -> tuple[jax.Array, jax.Array]:
        """Inputs [*shape, functions + 1] and answers [*shape, 1]; the functions' axis first."""
        x = jr.uniform(key, shape, minval=-5.0, maxval=5.0)
        one_each = (self.functions, *(1,) * (len(shape) - 1))
        amplitude, phase = (own.reshape(one_each) for own in curves)
        cue = jnp.eye(self.functions).reshape(*one_each, self.functions)
        cue = jnp.broadcast_to(cue, (*shape, self.functions))
        y = amplitude * jnp.sin(x + phase)
        return jnp.concatenate([cue, x[..., None]], -1), y[..., None]

    def _happens(self, key: Key) -> jax.Array:
        """Which of the moments of a curve there are in this lifetime, [batches]."""
        if not self.vary_length:
            return jnp.ones(self.batches, bool)
        fewest = max(self.batches // 10, 1)
        return jnp.arange(self.batches) < jr.randint(key, (), fewest, self.batches + 1)
