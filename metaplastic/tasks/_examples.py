"""Fixed sets of examples that are stored nowhere: the k-th is a function of k."""

import abc
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from .base import AbstractTask, Episode

Part = Literal["train", "test"]
"""Examples of meta-training, or others of meta-testing."""

_SEEDS = {"train": 0x5EED, "test": 0x7E57}


class AbstractExamples(AbstractTask):
    """A task whose lifetimes are always new, or the examples of a fixed set.

    Meta-training takes those of a set in turn, always in the same order: each once an epoch. A key
    alone draws any of them.
    """

    examples: eqx.AbstractVar[int | None]
    part: eqx.AbstractVar[Part]

    @abc.abstractmethod
    def drawn(self, key: Key) -> Episode:
        """The lifetime that a key stands for."""

    def sample(self, key: Key) -> Episode:
        if self.examples is None:
            return self.drawn(key)
        return self.example(jr.randint(key, (), 0, self.examples, jnp.int32))

    def nth(self, number: jax.Array, key: Key) -> Episode:
        if self.examples is None:
            return self.drawn(key)
        return self.example(number % jnp.uint32(self.examples))

    def example(self, index: jax.Array) -> Episode:
        """An example by its number; those of `train` and of `test` have no key in common."""
        return self.drawn(jr.fold_in(jax.random.key(_SEEDS[self.part]), index))


def check_examples(examples: int | None) -> None:
    """Raise `UsageError` for a set of no examples."""
    if examples is not None and examples < 1:
        raise UsageError(f"--task.examples {examples}: at least one is needed")
