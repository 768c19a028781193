"""Optimisers against optax's own with a learning rate; schedules against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaplastic.train import TrainOptions
from metaplastic.train.optimiser import make_optimiser, make_schedule

RATE = 0.03


@pytest.fixture(autouse=True)
def optax_promotes():
    """Optax's Adam mixes integers and floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def walk(transform, steps: int = 6, *, rate: float = 1.0) -> np.ndarray:
    """Weights after some steps on a quadratic with different curvatures."""
    w = jnp.array([1.0, -2.0, 0.5])
    state = transform.init(w)
    for _ in range(steps):
        gradient = w * jnp.array([1.0, 0.1, 3.0]) + 0.2
        update, state = transform.update(gradient, state, w)
        w = w + rate * update
    return np.asarray(w)


@pytest.mark.parametrize(
    ("options", "theirs"),
    [
        ({"optimiser": "sgd"}, optax.sgd(RATE)),
        ({"optimiser": "momentum", "momentum": 0.8}, optax.sgd(RATE, 0.8)),
        ({"optimiser": "nesterov"}, optax.sgd(RATE, 0.9, nesterov=True)),
        ({"optimiser": "adam"}, optax.adam(RATE)),
        ({"optimiser": "rmsprop"}, optax.rmsprop(RATE)),
        ({"optimiser": "adamw", "weight_decay": 0.1}, optax.adamw(RATE, weight_decay=0.1)),
        (
            {"optimiser": "momentum", "weight_decay": 0.1},
            optax.chain(optax.add_decayed_weights(0.1), optax.sgd(RATE, 0.9)),
        ),
        (
            {"optimiser": "adam", "weight_decay": 0.1},
            optax.chain(optax.add_decayed_weights(0.1), optax.adam(RATE)),
        ),
        (
            {"optimiser": "sgd", "clip": 0.5},
            optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(RATE)),
        ),
    ],
)
def test_is_the_optimiser_of_optax(options, theirs):
    ours = make_optimiser(TrainOptions(**options))
    np.testing.assert_allclose(walk(ours, rate=-RATE), walk(theirs), rtol=1e-6)


def adam(gradients, rate, b1=0.9, b2=0.999, eps=1e-8):
    """Steps of Kingma & Ba (2015), algorithm 1."""
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        yield -rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-5, 1e-7])
def test_adam_is_that_of_the_paper_for_small_gradients_too(size):
    gradients = [size * np.array([1.0, -0.3, 2.0]), size * np.array([0.5, 1.0, -1.0])]
    ours = make_optimiser(TrainOptions(optimiser="adam"))
    w = jnp.zeros(3)
    state = ours.init(w)
    for gradient, expected in zip(gradients, adam(gradients, RATE), strict=True):
        step, state = ours.update(jnp.asarray(gradient, jnp.float32), state, w)
        np.testing.assert_allclose(-RATE * np.asarray(step), expected, rtol=1e-4)


def test_coupled_decay_is_not_decoupled_decay():
    coupled = make_optimiser(TrainOptions(optimiser="adam", weight_decay=0.1))
    decoupled = make_optimiser(TrainOptions(optimiser="adamw", weight_decay=0.1))
    difference = walk(coupled, rate=-RATE) - walk(decoupled, rate=-RATE)
    assert np.abs(difference).max() > 1e-3


def test_clipping_comes_before_momentum():
    clipped = make_optimiser(TrainOptions(optimiser="momentum", clip=1.0))
    w = jnp.zeros(2)
    update, _ = clipped.update(jnp.array([30.0, 40.0]), clipped.init(w), w)
    np.testing.assert_allclose(update, [0.6, 0.8], rtol=1e-6)


def factors(steps_per_epoch: int = 10, **options) -> np.ndarray:
    own = TrainOptions(**{"epochs": 8, **options})
    schedule = make_schedule(own, steps_per_epoch)
    return np.asarray(jax.vmap(schedule)(jnp.arange(own.epochs * steps_per_epoch)))


def test_constant():
    np.testing.assert_array_equal(factors(), np.ones(80))


def test_steps_come_after_their_epochs():
    expected = np.repeat([1, 0.1, 0.01], [20, 35, 25])
    shown = factors(schedule="step", milestones=(2.0, 5.5))
    np.testing.assert_allclose(shown, expected, rtol=1e-6)


@pytest.mark.parametrize("decay", [0.5, 0.0])
def test_factor_of_the_steps(decay):
    shown = factors(schedule="step", milestones=(4.0,), decay=decay)
    np.testing.assert_allclose(shown, np.repeat([1, decay], 40), rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "closed_form"),
    [
        ("cosine", lambda share: (1 + np.cos(np.pi * share)) / 2),
        ("linear", lambda share: 1 - share),
        ("cooldown", lambda share: np.where(share < 0.5, 1, 2 * (1 - share))),
    ],
)
def test_smooth_schedules_end_where_the_run_does(schedule, closed_form):
    expected = closed_form(np.arange(80) / 80)
    np.testing.assert_allclose(factors(schedule=schedule), expected, atol=1e-6)
