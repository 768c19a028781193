"""Curves before and after: the right curve, the right points, the right answers."""

import jax.numpy as jnp
import numpy as np
import pytest

from metaplastic.analysis.adapted_curves import adapted_curves
from metaplastic.learners.hebbian import hebbian
from metaplastic.learners.online import online
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.one_shot import OneShot
from metaplastic.tasks.pattern_completion import PatternCompletion
from metaplastic.tasks.sinusoid import Sinusoid
from metaplastic.tasks.sinusoid_sequence import SinusoidSequence


def sine_error(x, y):
    """How far points are from the best a sin x + b cos x."""
    basis = np.stack([np.sin(x), np.cos(x)], 1)
    return np.abs(y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]).max()


def learner_of(task, key, rate=0.01):
    return online(task, rule=Backprop(), hidden=(20,), rate=rate, key=key)


def test_points_lie_on_the_curve_that_is_asked_for(getkey):
    task = Sinusoid(shots=7)
    own = adapted_curves(learner_of(task, getkey()), task, most=3, key=getkey())
    assert own.x.shape == (3, 100) and (np.diff(own.x) >= 0).all()
    for i in range(3):
        there = np.isfinite(own.support_x[i])
        assert there.sum() == 7
        x = np.concatenate([own.x[i], own.support_x[i][there]])
        y = np.concatenate([own.target[i], own.support_y[i][there]])
        assert sine_error(x, y) < 1e-4
    assert not np.allclose(own.target[0], own.target[1])
    assert not np.allclose(own.before, own.after)


def test_answers_are_those_of_the_learner(getkey):
    task = Sinusoid()
    learner = learner_of(task, getkey(), rate=0.0)
    own = adapted_curves(learner, task, most=2, key=getkey())
    np.testing.assert_allclose(own.after, own.before, rtol=1e-5)
    np.testing.assert_allclose(
        own.before[0], learner.model(jnp.asarray(own.x[0])[:, None])[:, 0], atol=1e-5
    )


@pytest.mark.parametrize("order", ["continual", "iid"])
def test_curves_of_one_lifetime_are_told_apart_by_their_cue(order, getkey):
    task = SinusoidSequence(functions=3, batches=4, shots=5, order=order, vary_length=True)
    own = adapted_curves(learner_of(task, getkey()), task, most=3, met=6, key=getkey())
    assert own.x.shape == (3, 100) and own.support_x.shape == (3, 6)
    for i in range(3):
        there = np.isfinite(own.support_x[i])
        assert there.sum() in (5, 6)  # five points of one moment, or six of more
        x = np.concatenate([own.x[i], own.support_x[i][there]])
        y = np.concatenate([own.target[i], own.support_y[i][there]])
        assert sine_error(x, y) < 1e-4


def test_other_tasks_have_no_curves(getkey):
    for task in (OneShot(), PatternCompletion()):
        assert adapted_curves(hebbian(task, key=getkey()), task, key=getkey()) is None
