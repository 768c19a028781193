"""Continual familiarity: which patterns come back, when, how often, and who may know it."""

import jax
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.tasks.continual_familiarity import ContinualFamiliarity

LONG = 40


def drawn(task, key, n=60):
    """Patterns [n, time, dimension] and answers [n, time]."""
    episodes = jax.jit(jax.vmap(task.sample))(jr.split(key, n))
    stream = episodes.stream
    np.testing.assert_allclose(np.array(stream.weight).sum(1), 1, rtol=1e-5)
    target = np.array(stream.target[:, :, 0])
    assert (target.sum(-1) == 1).all() and target.shape[-1] == 2
    return np.array(stream.x[:, :, 0]), target.argmax(-1)


@pytest.mark.parametrize("interval", [(1,), (3,), (2, 5)])
def test_familiar_is_what_was_there(interval, getkey):
    x, familiar = drawn(
        ContinualFamiliarity(dimension=64, moments=LONG, interval=interval), getkey()
    )
    assert set(np.unique(x)) == {-1, 1}
    for own, known in zip(x, familiar, strict=True):
        for t in range(LONG):
            same = [s for s in range(t) if (own[s] == own[t]).all()]
            assert bool(same) == bool(known[t])
            if known[t]:  # not a repetition of a repetition
                assert any(t - s in interval and not known[s] for s in same)
                assert len(same) <= len(interval)


def test_how_often(getkey):
    task = ContinualFamiliarity(dimension=8, moments=400, interval=(3,), probability=0.5)
    _, familiar = drawn(task, getkey())
    assert familiar.mean() == pytest.approx(1 / 3, abs=0.02)  # p / (1 + p)
    again = ContinualFamiliarity(dimension=8, moments=400, interval=(3,), again=True)
    assert drawn(again, getkey())[1].mean() == pytest.approx(0.5, abs=0.02)
    x, familiar = drawn(ContinualFamiliarity(probability=1.0, moments=12, again=True), getkey())
    assert (familiar == (np.arange(12) >= 3)).all()
    np.testing.assert_array_equal(x[:, 3:], x[:, :-3])


def test_the_test_may_be_at_other_intervals(getkey):
    task = ContinualFamiliarity(dimension=64, moments=LONG, interval=(2,), unseen=(4,), examples=9)
    x, familiar = drawn(task.held_out(), getkey())
    ages = {t - s for own, known in zip(x, familiar, strict=True) for t in np.flatnonzero(known)
            for s in range(t) if (own[s] == own[t]).all()}  # fmt: skip
    assert ages == {4}
    same = ContinualFamiliarity(dimension=64, moments=LONG, examples=9)
    first, second = (np.unique(drawn(own, getkey())[0].reshape(60, -1), axis=0)
                     for own in (same, same.held_out()))  # fmt: skip
    assert len(first) <= 9 and len(second) <= 9
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == len(first) + len(second)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"dimension": 0}, "--task.dimension 0"),
        ({"interval": ()}, "intervals are from 1"),
        ({"interval": (0,)}, "--task.interval 0"),
        ({"moments": 5, "unseen": (2, 5)}, "--task.unseen 2 5: intervals are from 1 to 4"),
        ({"moments": 0}, "--task.moments 0: at least 2"),
        ({"probability": 1.5}, "between 0 and 1"),
        ({"examples": 0}, "--task.examples 0"),
    ],
)
def test_impossible_tasks_are_one_sentence(options, words):
    with pytest.raises(UsageError, match=words):
        ContinualFamiliarity(**options)
