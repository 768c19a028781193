"""The wheel: its contexts and payoffs, the log of a lifetime, targets of which a part is known."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.learners.hebbian_readout import hebbian_readout
from metaplastic.learners.online import with_loss
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks._wheel import contexts, means, pay, regret, uniform_regret
from metaplastic.tasks.criteria import PARTIAL_REGRESSION, REGRESSION
from metaplastic.tasks.wheel_bandit import WheelBandit


def paid_by_hand(x, radius):
    """Mean and standard deviation of the five rewards at one context."""
    mean, spread = np.array([1.0, 1.0, 1.0, 1.0, 1.2]), np.full(5, 0.05)
    if np.hypot(*x) > radius:
        arm = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}[
            (bool(x[0] > 0), bool(x[1] > 0))
        ]
        mean[arm], spread[arm] = 50.0, 0.01
    return mean, spread


def test_contexts_are_uniform_in_the_disc(getkey):
    x = np.asarray(contexts(getkey(), 20_000))
    radius, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    assert radius.max() <= 1 + 1e-6
    for inner in (0.3, 0.7, 0.95):
        assert np.mean(radius <= inner) == pytest.approx(inner**2, abs=0.012)
    quarters = np.histogram(angle, 8, (-np.pi, np.pi))[0] / len(x)
    assert quarters == pytest.approx(np.full(8, 1 / 8), abs=0.012)


def test_payoffs(getkey):
    x = contexts(getkey(), 60)

    @jax.jit
    def of_wheel(radius, keys):
        return means(x, radius), jax.vmap(lambda key: pay(key, x, radius))(keys)

    for radius in (0.0, 0.5, 0.95, 1.0):
        expected, rewards = map(np.asarray, of_wheel(radius, jr.split(getkey(), 400)))
        for i, context in enumerate(np.asarray(x)):
            mean, spread = paid_by_hand(context, radius)
            np.testing.assert_allclose(expected[i], mean, rtol=1e-6)
            # Five standard errors of 400 draws.
            assert (abs(rewards[:, i].mean(0) - mean) < spread / 4).all()
            assert rewards[:, i].std(0) == pytest.approx(spread, rel=0.18)


def test_regret():
    x = jnp.array([[0.1, 0.1], [0.9, 0.1], [0.9, -0.1], [-0.9, 0.1], [-0.9, -0.1]])
    every = jax.jit(jax.vmap(lambda arm: regret(x, jnp.full(5, arm), 0.5), out_axes=1))(
        jnp.arange(5)
    )
    expected = np.array(
        [
            [0.2, 0.2, 0.2, 0.2, 0],
            [0, 49, 49, 49, 48.8],
            [49, 0, 49, 49, 48.8],
            [49, 49, 0, 49, 48.8],
            [49, 49, 49, 0, 48.8],
        ]
    )
    np.testing.assert_allclose(every, expected, atol=1e-5)


def test_regret_of_the_uniform_policy():
    radii = (0.5, 0.7, 0.9, 0.95, 0.99)
    own = [uniform_regret(radius) for radius in radii]
    assert own == pytest.approx([29.41, 20.05, 7.57, 3.9625, 0.9361], abs=1e-3)
    always_safe = [48.8 * (1 - radius**2) / each for radius, each in zip(radii, own, strict=True)]
    assert always_safe == pytest.approx([1.244, 1.241, 1.225, 1.201, 1.037], abs=1e-3)


def test_a_lifetime_is_a_log_of_random_choices_on_one_wheel(getkey):
    task = WheelBandit(shots=40, queries=9)
    drawn = jax.jit(jax.vmap(task.sample))(jr.split(getkey(), 300))
    assert drawn.stream.x.shape == (300, 1, 40, 2) and drawn.stream.y.shape == (300, 1, 40, 5)
    assert drawn.query.x.shape == (300, 9, 2) and drawn.query.y.shape == (300, 9, 5)
    x = np.concatenate([drawn.stream.x[:, 0], drawn.query.x], 1)
    y = np.concatenate([drawn.stream.y[:, 0], drawn.query.y], 1)
    taken = ~np.isnan(y)
    assert (taken.sum(-1) == 1).all()
    assert taken.mean((0, 1)) == pytest.approx(np.full(5, 0.2), abs=0.015)
    radius = np.linalg.norm(x, axis=-1)
    high = np.nansum(y, -1) > 25
    # One wheel a lifetime: no context that paid much lies within one that its arm was poor at.
    quadrant = np.where(x[..., 0] > 0, 0, 2) + np.where(x[..., 1] > 0, 0, 1)
    poor = (taken.argmax(-1) == quadrant) & ~high
    lowest = np.where(high, radius, 2).min(1)
    highest = np.where(poor, radius, 0).max(1)
    assert (highest < lowest).all()
    middle = (lowest + np.where(highest > 0, highest, 0))[(lowest < 1) & (highest > 0)] / 2
    assert middle.mean() == pytest.approx(0.5, abs=0.1) and middle.std() > 0.2


def test_a_fixed_radius_and_a_pool(getkey):
    pooled = WheelBandit(shots=20, queries=2, radius=1.0, pool=2)
    drawn = jax.jit(jax.vmap(pooled.sample))(jr.split(getkey(), 40))
    assert np.nanmax(drawn.stream.y) < 2, "no context lies outside"
    assert len(np.unique(np.asarray(drawn.query.x).reshape(40, -1), axis=0)) == 2
    assert pooled.held_out() == WheelBandit(shots=20, queries=2, radius=1.0)
    whole = WheelBandit()
    assert whole.held_out() is whole


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shots": 0}, "--task.shots 0"),
        ({"queries": 0}, "--task.queries 0"),
        ({"pool": -1}, "--task.pool -1"),
        ({"radius": 1.5}, "--task.radius 1.5: the wheel has radius 1"),
        ({"radius": -0.1}, "--task.radius -0.1"),
        ({"radius": float("nan")}, "--task.radius nan"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        WheelBandit(**options)


def test_the_loss_and_its_derivative_leave_unknown_targets_out(x64):
    rng = np.random.default_rng(0)
    output, target = rng.normal(size=(2, 6, 5))
    known = rng.random((6, 5)) < 0.5
    known[0], known[1:, 0] = False, True
    error = np.where(known, output - target, 0)
    partial = jnp.asarray(np.where(known, target, np.nan))

    @jax.jit
    def judged(output):
        def total(output):
            return PARTIAL_REGRESSION.loss(output, partial).sum()

        loss = PARTIAL_REGRESSION.loss(output, partial)
        return loss, jax.grad(total)(output), jax.hessian(total)(output)

    loss, slope, curvature = judged(jnp.asarray(output))
    np.testing.assert_allclose(loss, (error**2).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(slope, 2 * error, rtol=1e-12)
    np.testing.assert_allclose(curvature.reshape(30, 30), np.diag(2.0 * known.ravel()))
    # What is unknown hides no fault of the network where something is known.
    assert jnp.isnan(judged(jnp.full((6, 5), jnp.nan))[0]).tolist() == [False, *[True] * 5]


def test_who_is_told_the_targets_refuses_a_part_of_them(getkey):
    assert REGRESSION.whole("a rule") is REGRESSION
    with pytest.raises(UsageError, match="--rule Backprop is told the targets themselves"):
        with_loss(Backprop(), WheelBandit())
    with pytest.raises(UsageError, match="complex_synapse"):
        hebbian_readout(WheelBandit(), key=getkey())
