"""Accuracy over moments: the answers after each moment, written out."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.unrolls import accuracy_over_moments, over_moments
from metaplastic.learners.lifetime import live
from metaplastic.learners.online import online
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.pattern_completion import PatternCompletion
from metaplastic.tasks.sinusoid import Sinusoid

TASK = Sinusoid(moments=3, repeat=False)


@pytest.fixture(scope="module")
def learner():
    return online(TASK, rule=Backprop(), hidden=(4,), rate=0.05, key=jr.key(0))


def test_every_moment_is_the_end_of_a_shorter_lifetime(learner):
    episode = TASK.sample(jr.key(1))
    found = over_moments(learner, episode, key=jr.key(2))
    assert found.shape == (4,)
    key = jr.split(jr.key(2))[0]
    born = learner.predict(learner.birth(key=key), episode.query.x)
    np.testing.assert_allclose(found[0], jnp.square(born - episode.query.y).mean(), rtol=1e-5)
    np.testing.assert_allclose(found[-1], live(learner, episode, key=jr.key(2)).metric, rtol=1e-5)


def test_one_row_a_lifetime(learner):
    keys = jr.split(jr.key(3), 5)
    rows = jax.jit(lambda own: accuracy_over_moments(learner, TASK, keys=own, together=2))(keys)
    assert rows.shape == (5, 4)
    sample_key, life_key = jr.split(keys[4])
    np.testing.assert_allclose(
        rows[4], over_moments(learner, TASK.sample(sample_key), key=life_key), rtol=1e-5
    )


def test_a_task_without_questions():
    task = PatternCompletion()
    learner = online(task, rule=Backprop(loss="squared_error"), hidden=(4,), key=jr.key(0))
    with pytest.raises(UsageError, match="asks no questions"):
        over_moments(learner, task.sample(jr.key(0)), key=jr.key(0))
