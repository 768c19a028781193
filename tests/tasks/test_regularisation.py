"""A data set in two halves: the same lifetime always, the test set at the end."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.data import load
from metaplastic.learners.weight_decay import weight_decay
from metaplastic.meta.contrastive import Contrastive
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.regularisation import Regularisation
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer


@pytest.fixture(scope="module")
def task():
    return Regularisation(examples=60, validation=0.25).load()


def test_parts_are_disjoint_and_of_the_training_set(task):
    episode = task.sample(jr.key(0))
    assert episode.stream.x.shape == (1, 45, 8, 8, 1)
    assert episode.query.x.shape == (15, 8, 8, 1)
    shown = {np.asarray(own).tobytes() for own in episode.stream.x[0]}
    asked = {np.asarray(own).tobytes() for own in episode.query.x}
    assert not shown & asked
    data = load("digits")
    known = {(own / data.scale).astype(np.float32).tobytes() for own in data.x_train}
    assert shown | asked <= known


def test_the_lifetime_is_the_same_whatever_the_key(task):
    one, other = task.sample(jr.key(0)), task.sample(jr.key(1))
    assert all(
        jnp.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def test_another_seed_splits_otherwise():
    other = Regularisation(examples=60, split_seed=1).load()
    first = Regularisation(examples=60).load()
    assert not jnp.array_equal(first.x, other.x)


def test_meta_testing_trains_on_both_and_asks_the_test_set(task):
    episode = task.held_out().sample(jr.key(0))
    assert episode.stream.x.shape[1] == 60
    data = load("digits")
    assert episode.query.x.shape[0] == len(data.x_test)
    assert jnp.array_equal(episode.query.y.argmax(-1), data.y_test)


def test_one_lifetime_is_lived_however_many_are_asked_for(task):
    def build(key):
        return weight_decay(task, rule=Backprop(), hidden=(3,), steps=4, key=key)

    options = MetaOptions(steps=1, meta_batch=7, test_lifetimes=9)
    trainer = MetaTrainer(build, task, Contrastive(), options)
    state = trainer.initial([0])
    assert trainer.lifetimes() == 1
    state, metrics = trainer.chunk(state, 0, length=1)
    assert trainer.test(state).metric.shape == (1, 1)
    assert set(metrics.quality) == {
        "free_stationarity",
        "nudged_stationarity",
        "climbs",
        "opposition",
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"validation": 1.0}, "--task.validation 1.0: give a part between 0 and 1"),
        ({"examples": 1}, "--task.examples 1: at least 2"),
        ({"examples": 10**6}, "has 1,?[0-9]+ for training, ask for at most as many"),
        ({"examples": 2, "validation": 0.1}, "leaves one part empty"),
        ({"data": "digitz"}, "did you mean 'digits'"),
    ],
)
def test_bad_options_are_told(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        Regularisation(**options).load()
