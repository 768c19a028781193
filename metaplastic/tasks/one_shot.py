"""Learn the labels of two patterns from one presentation each."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import UsageError
from .._types import Key
from ._bit_patterns import Order, Variant, check_bits, labels, presentations, two_patterns
from .base import AbstractTask, Episode
from .criteria import CLASSIFICATION, Criterion


class OneShot(AbstractTask):
    """Two random patterns, shown in turn; each comes with its label the first time alone.

    Inputs are [label (2), pattern (bits)], the label zero after the first two moments, which are
    not judged. Miconi (2016), "Learning to learn with backpropagation of Hebbian plasticity",
    figure 3: 0/1 patterns in the text, -1/+1 in the released code. Strictly alternating
    patterns could be told apart by counting; `random` order takes that way out.
    """

    criterion: ClassVar[Criterion] = CLASSIFICATION

    bits: int = eqx.field(static=True, default=8)
    """Bits of a pattern."""
    moments: int = eqx.field(static=True, default=20)
    """Length of a lifetime."""
    order: Order = eqx.field(static=True, default="alternating")
    """Which pattern is shown after the first two moments."""
    variant: Variant = eqx.field(static=True, default="paper")
    """As the paper's text says (paper), or as its released code computes (released)."""

    def __check_init__(self):
        check_bits(self.bits)
        if self.moments < 3:
            raise UsageError(
                f"--task.moments {self.moments}: two moments show the labels, so at least 3 are "
                "needed"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (2 + self.bits,)

    @property
    def outputs(self) -> int:
        return 2

    def sample(self, key: Key) -> Episode:
        label, key = labels(key, self.order, self._told())
        return self.episode(two_patterns(key, self.bits, self.variant), label)

    def episode(self, patterns: jax.Array, label: jax.Array) -> Episode:
        """The lifetime of two given patterns [2, bits], shown in the order `label` [moments]."""
        stream = presentations(patterns, label, label, self._told())
        return Episode(stream, None, self.criterion)

    def _told(self) -> jax.Array:
        return jnp.arange(self.moments) < 2
