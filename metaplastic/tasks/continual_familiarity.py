"""A stream of patterns, some of which come back: which of them were there before?"""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ._counts import check_counts
from ._examples import AbstractExamples, Part, check_examples
from .base import Episode, Stream
from .criteria import CLASSIFICATION, Criterion


class ContinualFamiliarity(AbstractExamples):
    """At every moment a random pattern of -1 and 1, or that of R moments before: new or familiar?

    With `probability` the pattern of R moments before is shown again; R is drawn at every moment
    from `interval`. Unless `again`, what is a repetition itself is not repeated, so that with
    p = 1/2 two thirds of all moments are new. The classes are new and familiar, every moment
    counts. The test is at the intervals `unseen` where they are given.

    Tyulmankov, Yang & Abbott (2022), "Meta-learning synaptic plasticity and memory addressing for
    continual familiarity detection".
    """

    criterion: ClassVar[Criterion] = CLASSIFICATION

    dimension: int = eqx.field(static=True, default=100)
    """Values of a pattern."""
    moments: int = eqx.field(static=True, default=100)
    """Length of a stream."""
    interval: tuple[int, ...] = eqx.field(static=True, default=(3,))
    """R: after how many moments patterns come back."""
    probability: float = eqx.field(static=True, default=0.5)
    """With which a pattern comes back."""
    again: bool = eqx.field(static=True, default=False)
    """What came back may come back again."""
    examples: int | None = eqx.field(static=True, default=None)
    """Different streams of meta-training, always the same; none: every stream is new."""
    unseen: tuple[int, ...] | None = eqx.field(static=True, default=None)
    """Intervals of meta-testing, where they are others."""
    part: Part = eqx.field(static=True, default="train")
    """Streams of meta-training, or others of meta-testing."""

    def __check_init__(self):
        check_counts(self, "dimension")
        if self.moments < 2:
            raise UsageError(
                f"--task.moments {self.moments}: at least 2 are needed, so that a pattern can come "
                "back"
            )
        check_examples(self.examples)
        for name in ("interval", "unseen"):
            own = getattr(self, name)
            if own is not None and not (own and 0 < min(own) <= max(own) < self.moments):
                words = " ".join(map(str, own))
                raise UsageError(
                    f"--task.{name} {words}: intervals are from 1 to {self.moments - 1} in a "
                    f"stream of --task.moments {self.moments}"
                )
        if not 0 <= self.probability <= 1:
            raise UsageError(
                f"--task.probability {self.probability}: a probability is between 0 and 1"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.dimension,)

    @property
    def outputs(self) -> int:
        return 2

    def held_out(self) -> "ContinualFamiliarity":
        return dataclasses.replace(self, interval=self.unseen or self.interval, part="test")

    def drawn(self, key: Key) -> Episode:
        pattern_key, source_key = jr.split(key)
        source, familiar = self.sources(source_key)
        fresh = jr.rademacher(
            pattern_key, (self.moments, 1, self.dimension), jnp.result_type(float)
        )
        target = jax.nn.one_hot(familiar[:, None], 2, dtype=fresh.dtype)
        weight = jnp.full((self.moments,), 1 / self.moments, fresh.dtype)
        return Episode(Stream(fresh[source], None, target, weight), None, self.criterion)

    def sources(self, key: Key) -> tuple[jax.Array, jax.Array]:
        """At which moment each pattern was first there, and whether it is familiar, [moments]."""
        coin_key, interval_key = jr.split(key)
        coins = jr.bernoulli(coin_key, self.probability, (self.moments,))
        which = jr.randint(interval_key, (self.moments,), 0, len(self.interval), jnp.int32)
        back = jnp.asarray(self.interval, jnp.int32)[which]
        longest = max(self.interval)

        def moment(before: tuple[jax.Array, jax.Array], now: tuple[jax.Array, ...]):
            sources, known = before  # of the moments before, the latest first
            time, coin, back = now
            comes = coin & (time >= back)
            if not self.again:
                comes &= ~known[back - 1]
            own = jnp.where(comes, sources[back - 1], time)
            sources = jnp.concatenate([own[None], sources[:-1]])
            known = jnp.concatenate([comes[None], known[:-1]])
            return (sources, known), (own, comes)

        start = (jnp.zeros((longest,), jnp.int32), jnp.zeros((longest,), bool))
        times = jnp.arange(self.moments, dtype=jnp.int32)
        _, (source, familiar) = jax.lax.scan(moment, start, (times, coins, back))
        return source, familiar.astype(jnp.int32)
