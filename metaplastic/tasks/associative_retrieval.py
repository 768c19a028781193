"""Keys and values, and then one of the keys: which value came with it?"""

import dataclasses
import string
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ._examples import AbstractExamples, Part, check_examples
from .base import Episode, Stream
from .criteria import CLASSIFICATION, Criterion

LETTERS = len(string.ascii_lowercase)
DIGITS = len(string.digits)
SYMBOLS = LETTERS + DIGITS + 1
"""Letters, digits, and the separator."""


class AssociativeRetrieval(AbstractExamples):
    """Sequences such as `c9k8j3??k`, whose answer is 8: the digit that followed that letter.

    `pairs` different letters, each followed by a digit, two separators, and one of the letters
    again. One symbol of 37 a moment, one-hot: 26 letters, 10 digits, the separator. The answer, one
    of all symbols, is judged at the last moment alone; 10 digits make a guess right in 10 %.

    Ba, Hinton, Mnih, Leibo & Ionescu (2016), "Using fast weights to attend to the recent past",
    section 4.1: 100,000 sequences to learn from, and others for the test. Meta-training goes
    through them in epochs of one order, as the released code of Garcia Rodriguez, Guo & Moraitis
    (2022) does.
    """

    criterion: ClassVar[Criterion] = CLASSIFICATION

    pairs: int = eqx.field(static=True, default=3)
    """Letters with a digit each."""
    examples: int | None = eqx.field(static=True, default=100_000)
    """Different sequences of meta-training, always the same; none: every sequence is new."""
    part: Part = eqx.field(static=True, default="train")
    """Sequences of meta-training, or others of meta-testing."""

    def __check_init__(self):
        check_examples(self.examples)
        if not 1 <= self.pairs <= LETTERS:
            raise UsageError(
                f"--task.pairs {self.pairs}: each pair has a letter of its own, so from 1 to "
                f"{LETTERS} are possible"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (SYMBOLS,)

    @property
    def outputs(self) -> int:
        return SYMBOLS

    @property
    def moments(self) -> int:
        """Length of a sequence."""
        return 2 * self.pairs + 3

    def held_out(self) -> "AssociativeRetrieval":
        return dataclasses.replace(self, part="test")

    def drawn(self, key: Key) -> Episode:
        symbols, answer = self.symbols(key)
        x = jax.nn.one_hot(symbols, SYMBOLS)[:, None]
        last = (jnp.arange(self.moments) == self.moments - 1).astype(x.dtype)
        target = last[:, None, None] * jax.nn.one_hot(answer, SYMBOLS, dtype=x.dtype)
        return Episode(Stream(x, None, target, last), None, self.criterion)

    def symbols(self, key: Key) -> tuple[jax.Array, jax.Array]:
        """The symbols of a sequence by number, [moments], and its answer's.

        Letters are 0 to 25, digits 26 to 35, the separator is 36.
        """
        letter_key, digit_key, asked_key = jr.split(key, 3)
        # The places of the largest of random numbers: different letters in random order.
        letters = jax.lax.top_k(jr.uniform(letter_key, (LETTERS,)), self.pairs)[1]
        letters = letters.astype(jnp.int32)
        digits = LETTERS + jr.randint(digit_key, (self.pairs,), 0, DIGITS, jnp.int32)
        asked = jr.randint(asked_key, (), 0, self.pairs, jnp.int32)
        pairs = jnp.stack([letters, digits], axis=1).reshape(-1)
        between = jnp.full((2,), SYMBOLS - 1, jnp.int32)
        return jnp.concatenate([pairs, between, letters[asked][None]]), digits[asked]
