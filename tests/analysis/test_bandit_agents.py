"""Agents on the wheel: what they know, what they remember, what their choices cost."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats

from metaplastic._errors import DivergedError, UsageError
from metaplastic.analysis._bandit import empty_replay, explore
from metaplastic.analysis._bayesian_linear import drawn_value, fitted, observed, prior
from metaplastic.analysis.bandit_agents import (
    AbstractAgent,
    Always,
    Greedy,
    LinFullPost,
    LinGreedy,
    NeuralLinear,
    Oracle,
    Uniform,
)
from metaplastic.analysis.bandit_regret import RADII, bandit_regret, play
from metaplastic.learners.complex_synapse import complex_synapse
from metaplastic.learners.modulated import modulated
from metaplastic.learners.solver import Batch, Solver
from metaplastic.meta.contrastive import Contrastive
from metaplastic.meta.unrolled import Unrolled
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.base import AbstractTask
from metaplastic.tasks.sinusoid import Sinusoid
from metaplastic.tasks.wheel_bandit import WheelBandit
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer


class Witness(AbstractAgent):
    """Takes one of two arms by the context's side; its state ends up not finite where what it may
    remember is not what it noticed."""

    arms: jax.Array
    train_every: int = eqx.field(static=True, default=7)

    def birth(self, radius: jax.Array, *, key: jax.Array) -> Any:
        return jnp.zeros(()), jnp.zeros(())

    def choose(self, state: Any, x: jax.Array, *, key: jax.Array) -> jax.Array:
        return jnp.where(x[0] > 0, self.arms[0], self.arms[1])

    def notice(self, state: Any, x: jax.Array, arm: jax.Array, reward: jax.Array) -> Any:
        return state[0] + reward * (x[1] + arm.astype(float)), state[1] + 1

    def learn(self, state: Any, replay: Any, *, key: jax.Array) -> Any:
        # The empty rest of the memory is zeros.
        remembered = (replay.reward * (replay.x[:, 1] + replay.arm.astype(float))).sum()
        right = (jnp.abs(remembered - state[0]) < 1e-2) & (replay.seen.astype(float) == state[1])
        return jnp.where(right, state[0], jnp.nan), state[1]


def small(task: AbstractTask, key: jax.Array, **options: Any) -> Any:
    options = {"hidden": (6,), "strength": 0.3, **options}
    return complex_synapse(task, rule=Backprop(), key=key, **options)


@pytest.mark.slow
def test_what_uniform_safe_and_perfect_choices_cost():
    uniform = bandit_regret(Uniform(), seeds=range(200))
    safe, perfect = (bandit_regret(agent, seeds=range(40)) for agent in (Always(), Oracle()))
    # Two standard errors of 200 episodes.
    within = np.array([0.003, 0.004, 0.008, 0.012, 0.021])
    assert (abs(uniform.score.mean(0) - 1) < within).all()
    spread = np.array([0.018, 0.027, 0.052, 0.079, 0.148])
    assert uniform.score.std(0, ddof=1) == pytest.approx(spread, rel=0.2)
    expected = np.array([1.244, 1.241, 1.225, 1.201, 1.037])
    assert (abs(safe.score.mean(0) - expected) < within * math.sqrt(5)).all()
    assert (perfect.curve == 0).all()
    assert uniform.uniform == pytest.approx([29.41, 20.05, 7.57, 3.9625, 0.9361], abs=1e-3)
    assert uniform.curve.shape == (200, len(RADII), 100)
    assert uniform.trials[0] == 20 and uniform.trials[-1] == 2000
    assert (np.diff(uniform.curve) >= 0).all()


def test_an_episode_pulls_every_arm_then_learns_between_blocks(getkey):
    key, arms = getkey(), jnp.array([3, 1])
    run = eqx.filter_jit(play)
    lived = run(Witness(arms), jnp.float32(0.5), trials=26, key=key)
    assert lived.arm[:10].tolist() == [0, 1, 2, 3, 4] * 2
    assert set(lived.arm[10:].tolist()) == {1, 3}
    assert bool(lived.sound), "the memory is not what was noticed"
    # The wheel depends on the key alone, wherever the last block ends.
    other = run(Witness(arms, train_every=5), jnp.float32(0.5), trials=26, key=key)
    np.testing.assert_array_equal(lived.arm, other.arm)
    np.testing.assert_array_equal(lived.regret, other.regret)
    few = run(Witness(arms), jnp.float32(0.5), trials=4, key=key)
    assert few.arm.tolist() == [0, 1, 2, 3]


def test_the_memory():
    replay = empty_replay(6)
    x = jnp.arange(6.0).reshape(3, 2)
    replay = replay.filled(x, jnp.array([2, 0, 2]), jnp.array([5.0, 6.0, 7.0]))
    batch = jax.jit(lambda key: replay.draw(40, key=key))(jr.key(0))
    drawn = {(*map(float, x), *map(float, jnp.nan_to_num(y))) for x, y in zip(*batch, strict=True)}
    assert drawn == {(0, 1, 0, 0, 5, 0, 0), (2, 3, 6, 0, 0, 0, 0), (4, 5, 0, 0, 7, 0, 0)}
    assert bool((jnp.isnan(batch.y).sum(-1) == 4).all())
    assert replay.taken().sum(0).tolist() == [1, 0, 2, 0, 0]
    replay = replay.filled(x, jnp.array([1, 1, 1]), jnp.ones(3))
    assert replay.arm.tolist() == [2, 0, 2, 1, 1, 1] and int(replay.seen) == 6


def textbook(z, y, *, ridge, shape, scale):
    """mean, covariance, a, b of the regression in its usual form."""
    precision = ridge * np.eye(z.shape[1]) + z.T @ z
    mean = np.linalg.solve(precision, z.T @ y)
    rest = y @ y - mean @ precision @ mean
    return mean, np.linalg.inv(precision), shape + len(y) / 2, scale + rest / 2


def test_bayesian_regression_equals_the_closed_form(x64):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(30, 4))
    y = 20 + z @ rng.normal(size=4) + 0.1 * rng.normal(size=30)
    told = {"ridge": 0.25, "shape": 6.0, "scale": 3.0}
    before = prior(4, **told)
    one_by_one = jax.jit(
        lambda z, y: jax.lax.scan(lambda own, new: (observed(own, *new), None), before, (z, y))[0]
    )(z, y)
    weight = jnp.ones(40).at[30:].set(0.0)
    padded = np.vstack([z, np.full((10, 4), 9.0)]), np.append(y, np.full(10, 99.0))
    at_once = jax.jit(lambda z, y: fitted(before, z, y, weight, ridge=0.25))(*padded)
    for own in (one_by_one, at_once):
        for value, expected in zip(jax.tree.leaves(own), textbook(z, y, **told), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)


def test_thompson_sampling_is_that_of_the_posterior(x64, getkey):
    z, y = jr.normal(getkey(), (12, 3)), jr.normal(getkey(), (12,))
    belief = fitted(prior(3, ridge=0.5, shape=2.0, scale=2.0), z, y, jnp.ones(12), ridge=0.5)
    asked = jnp.array([0.3, -1.0, 2.0])
    draws = jax.jit(jax.vmap(lambda key: drawn_value(belief, asked, key=key)))
    values = np.asarray(draws(jr.split(getkey(), 4000)))
    a, b = float(belief.shape), float(belief.scale)
    width = math.sqrt(b / a * float(asked @ belief.covariance @ asked))
    student = scipy.stats.t(2 * a, loc=float(belief.mean @ asked), scale=width)
    assert scipy.stats.kstest(values, student.cdf).pvalue > 0.01


def test_linear_agents_keep_a_regression_for_every_arm(x64, getkey):
    x, arm = jr.normal(getkey(), (40, 2)), jr.randint(getkey(), (40,), 0, 4)
    reward = 50.0 + jr.normal(getkey(), (40,))
    for agent in (LinFullPost(), LinGreedy()):
        state = agent.birth(jnp.zeros(()), key=getkey())

        def see(state, own, agent=agent):
            return agent.notice(state, *own), None

        state = jax.jit(lambda state, see=see: jax.lax.scan(see, state, (x, arm, reward))[0])(state)
        for own in range(5):
            mine = arm == own
            z = np.column_stack([x, np.ones(40)])[mine]
            mean, covariance, *_ = textbook(
                z, np.asarray(reward)[mine], ridge=0.25, shape=6, scale=6
            )
            np.testing.assert_allclose(state.mean[own], mean, rtol=1e-8, atol=1e-10)
            np.testing.assert_allclose(state.covariance[own], covariance, atol=1e-10)
    assert int(agent.choose(state, jnp.zeros(2), key=getkey())) < 4, "arm 4 was never seen to pay"


def test_a_linear_agent_beats_uniform_choices_in_float64():
    own = bandit_regret(LinGreedy(), radii=(0.5,), seeds=(0, 1), trials=400, points=1)
    assert (own.score < 0.8).all()  # five standard deviations of uniform choices
    assert jnp.zeros(()).dtype == jnp.float32, "float64 ends with the agent"


@pytest.mark.slow
def test_neural_linear_refits_its_heads_to_new_features(getkey):
    agent = NeuralLinear(hidden=(5, 4), steps=30, batch=16, rate=0.1, ridge=0.7)
    x, arm = jr.normal(getkey(), (50, 2)), jr.randint(getkey(), (50,), 0, 5)
    reward = jnp.where(arm == 1, 4.0, 1.0) + x[:, 0]
    replay = empty_replay(60).filled(x, arm, reward)
    key, learn_key = getkey(), getkey()

    @jax.jit
    def learned():
        state = agent.birth(jnp.zeros(()), key=key)
        return state, agent.learn(state, replay, key=learn_key)

    before, after = learned()

    def error(network):
        return float(jnp.square(network(x)[jnp.arange(50), arm] - reward).mean())

    assert error(after.network) < 0.7 * error(before.network)
    z = np.asarray(after.network.trace(x).layers[1].post, np.float64)
    for own in range(5):
        mine = np.asarray(arm == own)
        mean, covariance, a, b = textbook(
            z[mine], np.asarray(reward, np.float64)[mine], ridge=0.7, shape=12, scale=30
        )
        np.testing.assert_allclose(after.heads.mean[own], mean, rtol=2e-3, atol=2e-4)
        np.testing.assert_allclose(after.heads.covariance[own], covariance, rtol=2e-3, atol=1e-4)
        assert float(after.heads.shape[own]) == a
        assert float(after.heads.scale[own]) == pytest.approx(b, rel=1e-4)


def test_the_network_learns_on_line_by_its_own_loss_and_never_starts_again(x64, getkey):
    task = WheelBandit(shots=3)
    learner = jax.tree.map(
        lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf,
        small(task, getkey(), activation="tanh"),
    )
    x, arm, reward = jnp.array([[0.3, -0.2]]), jnp.array([2]), jnp.array([1.5])
    replay = empty_replay(4).filled(x, arm, reward)
    agent = Greedy(learner, Solver("momentum", 2, 8), 0.05)
    birth = agent.birth(jnp.zeros(()), key=getkey())
    learn = eqx.filter_jit(agent.learn)
    own = learn(learn(birth, replay, key=getkey()), replay, key=getkey()).fast
    y = jnp.full((1, 5), jnp.nan).at[0, 2].set(1.5)
    slope = jax.jit(jax.grad(learner.learn_loss))
    expected, velocity = birth.fast, jax.tree.map(jnp.zeros_like, birth.fast)
    for _ in range(4):
        step = slope(expected, Batch(x, y))
        velocity = jax.tree.map(lambda v, s: 0.9 * v + s, velocity, step)
        expected = jax.tree.map(lambda w, v: w - 0.05 * v, expected, velocity)
    for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    values = learner.answer(own, x)[0]
    assert int(agent.choose(dataclasses.replace(birth, fast=own), x[0], key=getkey())) == int(
        values.argmax()
    )


@pytest.mark.slow
def test_each_seed_may_have_an_agent_of_its_own():
    told = {"radii": (0.5, 0.9), "trials": 40, "points": 4}
    agents = Witness(jnp.array([[0, 2], [4, 4]]))
    both = bandit_regret(agents, seeds=(5, 6), each=True, **told)
    alone = bandit_regret(Witness(agents.arms[1]), seeds=(6,), together=1, **told)
    np.testing.assert_allclose(both.curve[1], alone.curve[0], rtol=1e-5)
    assert (both.curve[0, :, -1] != both.curve[1, :, -1]).all()
    assert both.score.shape == (2, 2) and both.trials.tolist() == [10, 20, 30, 40]
    np.testing.assert_allclose(both.score, both.curve[..., -1] / (40 * both.uniform))


def test_exploring(getkey):
    taken = jax.jit(jax.vmap(lambda key: explore(jnp.int32(2), 0.5, key=key)))
    part = np.bincount(taken(jr.split(getkey(), 4000)), minlength=5) / 4000
    assert part == pytest.approx([0.1, 0.1, 0.6, 0.1, 0.1], abs=0.03)
    assert int(explore(jnp.int32(2), 0.0, key=getkey())) == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"radii": (0.5, 1.2)}, "radius 1.2: the wheel has radius 1"),
        ({"trials": 0}, "trials 0"),
        ({"pulls": 0}, "pulls 0"),
        ({"seeds": ()}, "number of seeds 0"),
    ],
)
def test_impossible_comparisons(options, told):
    with pytest.raises(UsageError, match=told):
        bandit_regret(Uniform(), **options)


def test_impossible_agents(getkey):
    learner = small(WheelBandit(), getkey())
    for solver in (Solver("adam", 5), Solver("adam", 5, until=1e-3)):
        with pytest.raises(UsageError, match="steps and batch alone"):
            Greedy(learner, solver)
    with pytest.raises(UsageError, match=r"epsilon 1\.5"):
        Greedy(learner, Solver("adam", 5, 8), epsilon=1.5)
    with pytest.raises(UsageError, match="build it for the task wheel_bandit"):
        Greedy(small(Sinusoid(), getkey()), Solver("adam", 5, 8))
    with pytest.raises(UsageError, match="there must be a hidden layer"):
        NeuralLinear(hidden=())
    with pytest.raises(UsageError, match="train_every 0"):
        bandit_regret(Uniform(0))
    with pytest.raises(UsageError, match="arm 5"):
        Always(5)


def test_an_agent_that_diverges_is_told_of(getkey):
    agent = Greedy(small(WheelBandit(), getkey()), Solver("sgd", 20, 8), 10.0)
    with pytest.raises(DivergedError, match=r"Greedy is not finite .* radius 0\.5 with seed 3"):
        bandit_regret(agent, radii=(0.5,), seeds=(3,), trials=60)


@pytest.mark.slow
def test_thompson_sampling_beats_uniform_choices():
    told = {"radii": (0.5, 0.9), "seeds": (0, 1, 2)}
    for agent in (LinFullPost(), NeuralLinear(hidden=(32, 32), batch=128)):
        assert (bandit_regret(agent, **told).score < 0.6).all()


def meta_trained(
    task: WheelBandit, build: Any, estimator: Any, seeds: tuple[int, ...], clip: float | None = None
) -> Any:
    """Learners of all seeds before and after 200 meta-steps."""
    trainer = MetaTrainer(build, task, estimator, MetaOptions(meta_batch=8, lr=0.01, clip=clip))
    state = trainer.initial(seeds)
    return trainer.learner(state), trainer.learner(trainer.chunk(state, 0, length=200)[0])


@pytest.mark.slow
def test_what_was_meta_learned_helps_on_line(capsys):
    task, seeds = WheelBandit(shots=128), tuple(range(200, 210))
    adam, sgd = Solver("adam", 250, 128), Solver("sgd", 100, 128)
    nudged = Contrastive(beta=0.1, steps=50)

    def synaptic(key, **options):
        return small(task, key, hidden=(32, 32), **options)

    def settling(key):
        return synaptic(key, strength=0.183, steps=100, rate=1e-3)

    def stepping(key):
        return synaptic(key, strength=0.0, optimiser="sgd", steps=10, rate=1e-2)

    def modulating(key):
        return modulated(task, hidden=(32, 32), steps=100, rate=3e-3, key=key)

    few = seeds[:3]  # of those that are only shown beside
    plain, cml = meta_trained(task, settling, nudged, seeds)
    _, maml = meta_trained(task, stepping, Unrolled(), few, clip=10.0)
    _, gains = meta_trained(task, modulating, nudged, few)
    agents = {
        "greedy, not meta-trained": (Greedy(plain, adam, 1e-3), seeds),
        "contrastive, synaptic": (Greedy(cml, adam, 1e-3), seeds),
        "contrastive, modulatory": (Greedy(gains, adam, 1e-3), few),
        "MAML": (Greedy(maml, sgd, 1e-4), few),
        "NeuralLinear": (NeuralLinear(hidden=(32, 32), batch=128), few),
        "uniform": (Uniform(), seeds),
    }
    scores = {}
    for name, (agent, played) in agents.items():
        own = bandit_regret(agent, radii=(0.95,), seeds=played, each=isinstance(agent, Greedy))
        scores[name] = own.score[:, 0]
        with capsys.disabled():
            print(f"{name:26} {own.score.mean():.3f} +- {own.score.std(ddof=1):.3f}")
    wins = int((scores["contrastive, synaptic"] < scores["greedy, not meta-trained"]).sum())
    assert scipy.stats.binomtest(wins, len(seeds), alternative="greater").pvalue < 0.05
    assert scores["contrastive, synaptic"].mean() < scores["greedy, not meta-trained"].mean()
