"""Complete a pattern that was seen once, from a single one of its bits."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ._bit_patterns import Variant, check_bits, coded
from .base import AbstractTask, Episode, Stream
from .criteria import PATTERNS, Criterion


def _manhattan(output: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.abs(output - target).sum(-1)


def _wrong_bits(output: jax.Array, target: jax.Array) -> jax.Array:
    return ((output > 0.5) != (target > 0.5)).mean(-1, dtype=output.dtype)


BINARY = Criterion(_manhattan, PATTERNS.metric, _wrong_bits, False, "squared_error")
"""Sum of |output - y| over bits that are 0 or 1; reported: the part on the wrong side of 1/2."""


class PatternCompletion(AbstractTask):
    """Moment 0 shows a pattern; moment 1 all of it but one bit set to 0, and asks for the whole.

    Miconi (2016), "Learning to learn with backpropagation of Hebbian plasticity", figure 2.
    In the text of the paper patterns are 0/1 with at least one 1, the kept bit is one of those,
    and the loss is the Manhattan distance. The released code draws -1/+1, keeps any bit, and sums
    squared errors; a network that cannot learn within its lifetime then loses 7 of 8 bits.
    """

    criterion: ClassVar[Criterion] = PATTERNS

    bits: int = eqx.field(static=True, default=8)
    """Bits of a pattern."""
    variant: Variant = eqx.field(static=True, default="paper")
    """As the paper's text says (paper), or as its released code computes (released)."""

    def __check_init__(self):
        check_bits(self.bits)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.bits,)

    @property
    def outputs(self) -> int:
        return self.bits

    def sample(self, key: Key) -> Episode:
        pattern_key, kept_key = jr.split(key)
        lowest = 1 if self.variant == "paper" else 0
        index = jr.randint(pattern_key, (), lowest, 2**self.bits, jnp.int32)
        pattern = coded(index, self.bits, self.variant)
        # Uniform among the bits that are not 0: all of them where bits are -1 or +1.
        draws = jr.uniform(kept_key, (self.bits,), pattern.dtype)
        kept = jnp.argmax(jnp.where(pattern != 0, draws, -1.0))
        return self.episode(pattern, kept)

    def episode(self, pattern: jax.Array, kept: jax.Array) -> Episode:
        """The lifetime of a given pattern [bits] with the given bit kept."""
        cue = jnp.where(jnp.arange(self.bits) == kept, pattern, 0.0)
        x = jnp.stack([pattern, cue])[:, None]
        target = jnp.stack([pattern, pattern])[:, None]
        weight = jnp.array([0, 1], pattern.dtype)
        criterion = BINARY if self.variant == "paper" else PATTERNS
        return Episode(Stream(x, None, target, weight), None, criterion)
