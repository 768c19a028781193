"""Agents that choose among the wheel's arms on-line; `bandit_regret` measures what that costs.

A new one is one class: what it starts with (`birth`), how it chooses, how it learns.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key
from ..learners.bilevel import AbstractBilevelLearner, BilevelLife
from ..learners.solver import Solver
from ..tasks._wheel import ARMS, SAFE, means
from ._bandit import (
    AbstractAgent as AbstractAgent,
    AgentState as AgentState,
    Replay as Replay,
    check_epsilon,
    explore,
)
from ._bandit_linear import (
    LinFullPost as LinFullPost,
    LinGreedy as LinGreedy,
    NeuralLinear as NeuralLinear,
)

_BLOCK = 100
"""Trials of a block where nothing is learned between blocks."""


class Uniform(AbstractAgent):
    """Any arm, whatever the context: regret 1 after normalisation."""

    learns: ClassVar[bool] = False
    train_every: int = eqx.field(static=True, default=_BLOCK)

    def birth(self, radius: jax.Array, *, key: Key) -> AgentState:
        del radius, key
        return ()

    def choose(self, state: AgentState, x: Float[Array, "2"], *, key: Key) -> jax.Array:
        return jr.randint(key, (), 0, ARMS)


class Always(AbstractAgent):
    """The same arm always; by default the one that is best inside the radius."""

    learns: ClassVar[bool] = False
    arm: int = eqx.field(static=True, default=SAFE)
    train_every: int = eqx.field(static=True, default=_BLOCK)

    def __check_init__(self):
        if not 0 <= self.arm < ARMS:
            raise UsageError(f"arm {self.arm}: the wheel's arms are 0 to {ARMS - 1}")

    def birth(self, radius: jax.Array, *, key: Key) -> AgentState:
        del radius, key
        return ()

    def choose(self, state: AgentState, x: Float[Array, "2"], *, key: Key) -> jax.Array:
        return jnp.int32(self.arm)


class Oracle(AbstractAgent):
    """The arm of the largest expected reward: knows the wheel, regret 0."""

    learns: ClassVar[bool] = False
    train_every: int = eqx.field(static=True, default=_BLOCK)

    def birth(self, radius: jax.Array, *, key: Key) -> AgentState:
        del key
        return radius

    def choose(self, state: AgentState, x: Float[Array, "2"], *, key: Key) -> jax.Array:
        return means(x, state).argmax()


class Greedy(AbstractAgent):
    """The arm of the largest reward that a settling learner predicts.

    phi starts as the learner's lifetimes do and is never reset; every `train_every` trials the
    solver takes its steps on batches of all trials so far, down the learner's own L_learn, its
    regulariser included; theta stays. Zucchet et al. (2022), "A contrastive rule for
    meta-learning", section 5.5.
    """

    learner: AbstractBilevelLearner
    solver: Solver
    """Steps of each training, and trials drawn for each (with replacement)."""
    rate: float = 1e-4
    train_every: int = eqx.field(static=True, default=50)
    epsilon: float = eqx.field(static=True, default=0.0)
    """How often any arm is taken instead."""

    def __check_init__(self):
        check_epsilon(self.epsilon)
        if not self.learner.criterion.partial:
            raise UsageError(
                "on-line, only the reward of the arm that was taken is known, and this learner "
                "takes all outputs for known: build it for the task wheel_bandit"
            )
        if not self.solver.fixed or self.solver.batch is None:
            raise UsageError(
                "on-line learning takes a fixed number of steps on batches of what was seen: give "
                "a solver with steps and batch alone, Solver('adam', 250, 512) say"
            )

    def birth(self, radius: jax.Array, *, key: Key) -> BilevelLife:
        del radius
        fast = self.learner.start(key=key)
        return BilevelLife(fast, self.solver.init(ravel_pytree(fast)[0], self.rate))

    def choose(self, state: BilevelLife, x: Float[Array, "2"], *, key: Key) -> jax.Array:
        values = self.learner.answer(state.fast, self.learner.perceive(x[None]))[0]
        return explore(values.argmax(), self.epsilon, key=key)

    def learn(self, state: BilevelLife, replay: Replay, *, key: Key) -> BilevelLife:
        phi, unravel = ravel_pytree(state.fast)

        def step(carry: Any, key: Key) -> tuple[Any, None]:
            phi, optimiser = carry
            draw_key, slope_key = jr.split(key)
            batch = replay.draw(self.solver.batch or 1, key=draw_key)
            batch = batch._replace(x=self.learner.perceive(batch.x))
            slope = self.learner.learn_slope(unravel(phi), batch, key=slope_key)
            slope = ravel_pytree(slope)[0]
            return self.solver.advance(phi, optimiser, slope, self.rate), None

        keys = jr.split(key, self.solver.steps)
        (phi, optimiser), _ = jax.lax.scan(step, (phi, state.optimiser), keys)
        return BilevelLife(unravel(phi), optimiser)
