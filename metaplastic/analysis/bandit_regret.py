"""What it costs an agent to find out how a wheel pays: cumulative expected regret.

One episode is one scan over blocks of trials, with learning between the blocks; many episodes
(seeds and radii) are one program. Zucchet et al. (2022), "A contrastive rule for meta-learning",
section 5.5.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import DivergedError, UsageError
from .._types import Key
from ..tasks._wheel import ARMS, contexts, pay, regret, uniform_regret
from ..tasks.wheel_bandit import check_radius
from ._bandit import AbstractAgent, AgentState, Replay, empty_replay

RADII = (0.5, 0.7, 0.9, 0.95, 0.99)
"""Those that agents are compared at."""


class Regret(NamedTuple):
    """Of every seed at every radius."""

    score: np.ndarray
    """Cumulative expected regret of all trials over that of the uniform policy, `trials (0.16 r^2
    + 39.16 (1 - r^2))`; [seeds, radii]."""
    curve: np.ndarray
    """Cumulative expected regret after `trials[i]` trials, [seeds, radii, points]."""
    trials: np.ndarray
    """[points]"""
    uniform: np.ndarray
    """Expected regret of the uniform policy a trial, [radii]."""


class Played(NamedTuple):
    """One agent's life on one wheel."""

    regret: jax.Array
    """Expected regret of every trial, [trials]."""
    arm: jax.Array
    """Arm taken, [trials]."""
    sound: jax.Array
    """Is all that the agent carries finite at the end?"""


def play(
    agent: AbstractAgent, radius: jax.Array, *, trials: int, pulls: int = 2, key: Key
) -> Played:
    """`trials` choices on the wheel of that radius; pure.

    An agent that learns is given every arm `pulls` times in turn, then learns before every block of
    `train_every` trials, from all that went before. The wheel depends on the key alone, so that
    agents can be compared in pairs.
    """
    env_key, birth_key, learn_key, choice_key = jr.split(key, 4)
    first = min(pulls * ARMS, trials) if agent.learns else 0
    blocks = max(-(-(trials - first) // agent.train_every), 1)
    x, rewards = _wheel(env_key, radius, trials, first + blocks * agent.train_every)
    forced = jnp.arange(first, dtype=jnp.int32) % ARMS
    paid = jnp.take_along_axis(rewards[:first], forced[:, None], 1)[:, 0]
    replay = empty_replay(x.shape[0]).filled(x[:first], forced, paid)
    state = _noticed(agent, agent.birth(radius, key=birth_key), x[:first], forced, paid)

    def block(carry: tuple[AgentState, Replay], own: Any) -> tuple[Any, jax.Array]:
        (state, replay), (x, rewards, index) = carry, own
        if agent.learns:
            state = agent.learn(state, replay, key=jr.fold_in(learn_key, index))
        keys = jr.split(jr.fold_in(choice_key, index), agent.train_every)
        state, (arm, paid) = _choices(agent, state, x, rewards, keys)
        return (state, replay.filled(x, arm, paid)), arm

    shape = blocks, agent.train_every
    parts = (own[first:].reshape(*shape, *own.shape[1:]) for own in (x, rewards))
    (state, _), chosen = jax.lax.scan(block, (state, replay), (*parts, jnp.arange(blocks)))
    arm = jnp.concatenate([forced, chosen.reshape(-1)])[:trials]
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(_inexact(state))]
    return Played(regret(x[:trials], arm, radius), arm, jnp.stack([*finite, True]).all())


def bandit_regret(
    agent: AbstractAgent,
    *,
    radii: Sequence[float] = RADII,
    seeds: Sequence[int] = (0,),
    trials: int = 2_000,
    pulls: int = 2,
    points: int = 100,
    each: bool = False,
    together: int | None = None,
) -> Regret:
    """Regret of an agent on every wheel, one episode for each seed and radius.

    With `each`, the agent's arrays have a leading axis: one agent a seed, such as learners that
    were meta-trained from several seeds. `together` episodes run side by side (all by default).
    Raises `UsageError` for impossible numbers, `DivergedError` where an agent's state ends up not
    finite.
    """
    _check(agent, radii, seeds, trials, pulls, points)
    at = np.unique(np.linspace(0, trials, min(points, trials) + 1).round().astype(int)[1:])
    with jax.enable_x64(True) if agent.precise else contextlib.nullcontext():
        keys = jnp.stack([jr.key(seed) for seed in seeds])
        own = jnp.asarray(radii, float)
        curve, sound = _episodes(agent, own, keys, at, trials, pulls, each, together)
        curve, sound = np.asarray(curve, np.float64), np.asarray(sound)
    if not sound.all():
        seed, radius = np.argwhere(~sound)[0]
        raise DivergedError(
            f"the state of the agent {type(agent).__name__} is not finite after {trials} trials "
            f"at radius {radii[radius]} with seed {seeds[seed]}: lower its learning rate"
        )
    uniform = np.asarray([uniform_regret(radius) for radius in radii], np.float64)
    return Regret(curve[..., -1] / (trials * uniform), curve, at, uniform)


@eqx.filter_jit
def _episodes(
    agent: AbstractAgent,
    radii: jax.Array,
    keys: jax.Array,
    at: np.ndarray | jax.Array,
    trials: int,
    pulls: int,
    each: bool,
    together: int | None,
) -> tuple[jax.Array, jax.Array]:
    """Curves [seeds, radii, points] of cumulative regret, and which episodes ended finite."""
    arrays, static = eqx.partition(agent, eqx.is_array)
    count = len(keys) * len(radii)

    def one(index: jax.Array) -> tuple[jax.Array, jax.Array]:
        seed, wheel = index // len(radii), index % len(radii)
        mine = jax.tree.map(lambda leaf: leaf[seed], arrays) if each else arrays
        lived = play(
            eqx.combine(mine, static), radii[wheel], trials=trials, pulls=pulls, key=keys[seed]
        )
        return jnp.cumsum(lived.regret)[at - 1], lived.sound

    curve, sound = jax.lax.map(one, jnp.arange(count), batch_size=min(together or count, count))
    shape = len(keys), len(radii)
    return curve.reshape(*shape, -1), sound.reshape(shape)


def _wheel(key: Key, radius: jax.Array, trials: int, total: int) -> tuple[jax.Array, jax.Array]:
    """Contexts [total, 2] and what every arm would pay [total, arms].

    Drawn in float32, whatever the agent computes in, and the same for agents whose blocks end at
    another trial: those after the last trial only fill the last block.
    """
    context_key, pay_key = jr.split(key)
    x = contexts(context_key, trials, dtype=jnp.float32)
    rewards = pay(pay_key, x, radius.astype(jnp.float32))

    def filled(own: jax.Array) -> jax.Array:
        return jnp.pad(own, ((0, total - trials), (0, 0))).astype(radius.dtype)

    return filled(x), filled(rewards)


def _choices(
    agent: AbstractAgent, state: AgentState, x: jax.Array, rewards: jax.Array, keys: jax.Array
) -> tuple[AgentState, tuple[jax.Array, jax.Array]]:
    """The trials of a block, one after the other."""

    def trial(state: AgentState, own: Any) -> tuple[AgentState, tuple[jax.Array, jax.Array]]:
        x, rewards, key = own
        arm = agent.choose(state, x, key=key).astype(jnp.int32)
        return agent.notice(state, x, arm, rewards[arm]), (arm, rewards[arm])

    return jax.lax.scan(trial, state, (x, rewards, keys))


def _noticed(
    agent: AbstractAgent, state: AgentState, x: jax.Array, arm: jax.Array, paid: jax.Array
) -> AgentState:
    """State after trials in which the agent did not choose."""

    def trial(state: AgentState, own: Any) -> tuple[AgentState, None]:
        return agent.notice(state, *own), None

    return jax.lax.scan(trial, state, (x, arm, paid))[0]


def _inexact(state: AgentState) -> Any:
    return eqx.filter(state, eqx.is_inexact_array)


def _check(
    agent: AbstractAgent,
    radii: Sequence[float],
    seeds: Sequence[int],
    trials: int,
    pulls: int,
    points: int,
) -> None:
    for name, value in (
        ("trials", trials),
        ("pulls", pulls),
        ("points", points),
        ("number of seeds", len(seeds)),
        ("number of radii", len(radii)),
        ("train_every", agent.train_every),
    ):
        if value < 1:
            raise UsageError(f"{name} {value}: at least 1 is needed")
    for radius in radii:
        check_radius(radius, "radius")
