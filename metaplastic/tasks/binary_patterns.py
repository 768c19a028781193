"""Remember a few long patterns of bits, then complete one of them from half of its bits."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ._recall import check_times, recall
from .base import AbstractTask, Episode
from .criteria import PATTERNS, Criterion


class BinaryPatterns(AbstractTask):
    """Random -1/+1 patterns, each shown `on` moments; then half of one, and the rest is asked for.

    The patterns are shown `cycles` times, each time in another order, with `off` moments of
    nothing after each. At the end one of them stands there for `cue` moments with half of its bits
    zeroed; the answer of the last moment is compared with the whole pattern. Half of the bits are
    given then, so that guessing is wrong in a quarter. Miconi, Clune & Stanley (2018),
    "Differentiable plasticity", section 4.1; the paper's largest: 1,000 bits, 5 patterns, 2 cycles,
    6 moments on and 4 off.
    """

    criterion: ClassVar[Criterion] = PATTERNS

    bits: int = eqx.field(static=True, default=50)
    """Bits of a pattern."""
    patterns: int = eqx.field(static=True, default=2)
    """Patterns of a lifetime."""
    cycles: int = eqx.field(static=True, default=1)
    """How often each is shown."""
    on: int = eqx.field(static=True, default=3)
    """Moments for which a pattern stands there."""
    off: int = eqx.field(static=True, default=1)
    """Moments of nothing after it."""
    cue: int | None = eqx.field(static=True, default=None)
    """Moments of the half pattern; as many as `on` where it is not given."""
    balanced: bool = eqx.field(static=True, default=True)
    """Exactly half of the bits are +1, and exactly half are zeroed; else each by chance."""

    def __check_init__(self):
        if self.bits < 2:
            raise UsageError(f"--task.bits {self.bits}: a pattern with two halves needs 2 or more")
        check_times("patterns", self)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.bits,)

    @property
    def outputs(self) -> int:
        return self.bits

    def sample(self, key: Key) -> Episode:
        pattern_key, mask_key, order_key = jr.split(key, 3)
        shape = (self.patterns, self.bits)
        patterns = 2 * self._half(pattern_key, shape).astype(float) - 1
        kept = self._half(mask_key, (1, self.bits))[0]
        stream = recall(
            patterns,
            lambda pattern: jnp.where(kept, pattern, 0.0),
            cycles=self.cycles,
            on=self.on,
            off=self.off,
            cue=self.cue or self.on,
            key=order_key,
        )
        return Episode(stream, None, self.criterion)

    def _half(self, key: Key, shape: tuple[int, int]) -> jax.Array:
        """Which half of each row's places."""
        if not self.balanced:
            return jr.bernoulli(key, 0.5, shape)
        chosen = jnp.broadcast_to(jnp.arange(self.bits) < self.bits // 2, shape)
        return jr.permutation(key, chosen, axis=1, independent=True)
