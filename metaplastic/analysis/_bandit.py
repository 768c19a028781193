"""The contract of an agent that chooses among arms on-line, and what it may remember."""

import abc
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key
from ..learners.solver import Batch
from ..tasks._wheel import ARMS
from ..tasks.wheel_bandit import only_taken

AgentState: TypeAlias = Any
"""Whatever an agent carries from trial to trial; a pytree of arrays."""


class Replay(eqx.Module):
    """Everything that an agent lived through; entries from `seen` on are empty."""

    x: jax.Array
    """Contexts, [trials, 2]."""
    arm: jax.Array
    """Arms taken, [trials]."""
    reward: jax.Array
    """What they paid, [trials]."""
    seen: jax.Array
    """How many there are."""

    def taken(self) -> Float[Array, "trials arms"]:
        """1 at the arm of every trial that happened, 0 elsewhere."""
        happened = jnp.arange(self.arm.shape[0]) < self.seen
        taken = self.arm[:, None] == jnp.arange(ARMS, dtype=self.arm.dtype)
        return (happened[:, None] & taken).astype(self.x.dtype)

    def draw(self, count: int, *, key: Key) -> Batch:
        """`count` trials, with replacement; targets are NaN at the arms not taken."""
        index = jr.randint(key, (count,), 0, self.seen)
        return Batch(self.x[index], only_taken(self.reward[index, None], self.arm[index]))

    def filled(self, x: jax.Array, arm: jax.Array, reward: jax.Array) -> "Replay":
        """With a block of trials more."""

        def put(old: jax.Array, new: jax.Array) -> jax.Array:
            return jax.lax.dynamic_update_slice_in_dim(old, new.astype(old.dtype), self.seen, 0)

        after = self.seen + arm.shape[0]
        return Replay(put(self.x, x), put(self.arm, arm), put(self.reward, reward), after)


def empty_replay(trials: int) -> Replay:
    """A memory for so many trials, in the default float."""
    zero = jnp.zeros(trials)
    return Replay(jnp.zeros((trials, 2)), jnp.zeros(trials, jnp.int32), zero, jnp.int32(0))


class AbstractAgent(eqx.Module):
    """An agent: what it starts with, how it chooses, how it learns.

    Its arrays (those of a meta-trained learner) never change while it acts.
    """

    learns: ClassVar[bool] = True
    """Does it learn? Then every arm is pulled a few times before it chooses."""
    precise: ClassVar[bool] = False
    """Does it compute in float64?"""
    train_every: eqx.AbstractVar[int]
    """`learn` is called after so many trials."""

    @abc.abstractmethod
    def birth(self, radius: jax.Array, *, key: Key) -> AgentState:
        """State before the first trial; the wheel's radius is for an oracle alone."""

    @abc.abstractmethod
    def choose(self, state: AgentState, x: Float[Array, "2"], *, key: Key) -> jax.Array:
        """The arm to take at a context."""

    def notice(
        self, state: AgentState, x: Float[Array, "2"], arm: jax.Array, reward: jax.Array
    ) -> AgentState:
        """State after a trial; unchanged by default."""
        del x, arm, reward
        return state

    def learn(self, state: AgentState, replay: Replay, *, key: Key) -> AgentState:
        """State after learning from all that was lived through; unchanged by default."""
        del replay, key
        return state


def explore(arm: jax.Array, epsilon: float, *, key: Key) -> jax.Array:
    """`arm`, or with probability `epsilon` any arm."""
    if epsilon == 0:
        return arm
    whether_key, arm_key = jr.split(key)
    other = jr.randint(arm_key, (), 0, ARMS, arm.dtype)
    return jnp.where(jr.uniform(whether_key) < epsilon, other, arm)


def check_epsilon(epsilon: float) -> None:
    """Raise `UsageError` for what is no probability."""
    if not 0 <= epsilon <= 1:
        raise UsageError(f"epsilon {epsilon}: it is a probability, from 0 (greedy) to 1")
