"""Learn the labels of two patterns from one presentation each, and again when they are swapped."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import UsageError
from .._types import Key
from ._bit_patterns import Order, Variant, check_bits, labels, presentations, two_patterns
from .base import AbstractTask, Episode
from .criteria import CLASSIFICATION, Criterion


class Reversal(AbstractTask):
    """One-shot labelling whose two patterns swap labels halfway, shown with labels again then.

    Inputs are [label (2), pattern (bits)]; the two labelled moments of each half are not judged.
    In strict alternation even moments are of class 0 in both halves, so the pattern of the last
    moment before the swap comes first after it. Miconi (2016), "Learning to learn with
    backpropagation of Hebbian plasticity", figure 4: 0/1 patterns in the text, -1/+1 in the
    released code.
    """

    criterion: ClassVar[Criterion] = CLASSIFICATION

    bits: int = eqx.field(static=True, default=8)
    """Bits of a pattern."""
    moments: int = eqx.field(static=True, default=20)
    """Length of a lifetime; the labels swap halfway."""
    order: Order = eqx.field(static=True, default="alternating")
    """Which pattern is shown after the labelled moments of each half."""
    variant: Variant = eqx.field(static=True, default="paper")
    """As the paper's text says (paper), or as its released code computes (released)."""

    def __check_init__(self):
        check_bits(self.bits)
        if self.moments < 6 or self.moments % 2:
            raise UsageError(
                f"--task.moments {self.moments}: two equal halves of at least 3 moments are "
                f"needed, such as {max(6, self.moments + 1)}"
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
        """The lifetime of two given patterns [2, bits] under the labels `label` [moments]."""
        swapped = (jnp.arange(self.moments) >= self.moments // 2).astype(label.dtype)
        shown = (label + swapped) % 2
        return Episode(presentations(patterns, shown, label, self._told()), None, self.criterion)

    def _told(self) -> jax.Array:
        return jnp.arange(self.moments) % (self.moments // 2) < 2
