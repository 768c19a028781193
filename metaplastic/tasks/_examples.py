"""Fixed sets of examples that are stored nowhere: the k-th is a function of k."""

from typing import Literal

import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key

Part = Literal["train", "test"]
"""Examples of meta-training, or others of meta-testing."""

_SEEDS = {"train": 0x5EED, "test": 0x7E57}


def example_key(key: Key, examples: int | None, part: Part) -> Key:
    """The key of an example: one of so many, drawn by `key`; where there is no such number, `key`
    itself. Those of `train` and of `test` have no key in common."""
    if examples is None:
        return key
    index = jr.randint(key, (), 0, examples, jnp.int32)
    return jr.fold_in(jax.random.key(_SEEDS[part]), index)


def check_examples(examples: int | None) -> None:
    """Raise `UsageError` for a set of no examples."""
    if examples is not None and examples < 1:
        raise UsageError(f"--task.examples {examples}: at least one is needed")
