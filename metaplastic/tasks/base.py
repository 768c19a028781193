"""The contract of a task: `sample(key)` gives one lifetime's experience as a pytree.

Sampling is pure: it runs inside `jit` and under `vmap`, real images included (a bank of uint8 on
the device, indices drawn within the step). The key is the whole state of the data, so that a
resumed run sees the same episodes.
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax

from .._hints import check_choices
from .._types import Key
from .criteria import Criterion as Criterion


class Stream(eqx.Module):
    """What a learner lives through, moment by moment (time first)."""

    x: jax.Array
    """Inputs, [time, batch, *input]."""
    y: jax.Array | None
    """What the learner is told beside the input, [time, batch, outputs]; None: nothing, as in
    tasks whose labels are part of the input."""
    target: jax.Array | None
    """What its answers are compared with, [time, batch, outputs]; None: they are not judged."""
    weight: jax.Array | None
    """Weight of each moment in the loss, [time]; None where there is no target."""
    mask: jax.Array | None = None
    """Which moments happen, [time] of booleans; None: all. Nothing changes at the others, so that
    lifetimes of different lengths have the same shapes."""


class Query(eqx.Module):
    """Questions put at the end of a lifetime, to which the learner only answers."""

    x: jax.Array
    """[questions, *input]."""
    y: jax.Array
    """[questions, outputs]."""


class Episode(eqx.Module):
    """One lifetime: a stream, perhaps questions at its end, and how both are judged.

    The loss is `sum_t weight_t mean_batch loss(output_t, target_t) + mean loss(query)`, of the
    parts that are there.
    """

    stream: Stream
    query: Query | None
    criterion: Criterion = eqx.field(static=True)


class AbstractTask(eqx.Module):
    """A family of lifetimes; its fields are options, and arrays only where it holds data."""

    criterion: eqx.AbstractClassVar[Criterion]
    distinct: ClassVar[int | None] = None
    """How many different lifetimes there are; None: as many as keys. No more are lived at once."""

    def __check_init__(self):
        check_choices(self, "--task.")

    @property
    @abc.abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """Number of outputs."""

    @abc.abstractmethod
    def sample(self, key: Key) -> Episode:
        """One lifetime's experience; pure, and always of the same shapes."""

    def nth(self, number: jax.Array, key: Key) -> Episode:
        """The lifetime that meta-training lives after `number` others: that of its key.

        A task of fixed examples takes them in turn instead, so that each comes once an epoch.
        """
        del number
        return self.sample(key)

    def load(self) -> "AbstractTask":
        """The task with the data that it needs on the device; itself where it needs none.

        Raises `DataError` where they are missing, `UsageError` where options ask the impossible.
        """
        return self

    def held_out(self) -> "AbstractTask":
        """The task of meta-testing: other classes, other functions; itself where every episode is
        new anyway."""
        return self
