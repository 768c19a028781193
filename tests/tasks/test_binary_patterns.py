"""Recall of bit patterns: what is shown when, which half is left, and what is judged."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.tasks.binary_patterns import BinaryPatterns

TASK = BinaryPatterns(bits=10, patterns=3, cycles=2, on=2, off=1, cue=4)


def sampled(task, key, n=500):
    """Inputs and targets [n, time, bits] and weights [n, time]."""
    stream = jax.jit(jax.vmap(task.sample))(jr.split(key, n)).stream
    assert stream.y is None and stream.mask is None
    return np.array(stream.x[:, :, 0]), np.array(stream.target[:, :, 0]), np.array(stream.weight)


def test_a_lifetime_moment_by_moment(getkey):
    x, target, weight = sampled(TASK, getkey())
    assert x.shape == target.shape == (500, 2 * 3 * 3 + 4, 10)
    lesson, cue = x[:, :18].reshape(500, 2, 3, 3, 10), x[:, 18:]
    assert not lesson[:, :, :, 2].any()  # off
    np.testing.assert_array_equal(lesson[:, :, :, 0], lesson[:, :, :, 1])  # on
    assert (abs(lesson[:, :, :, 0]) == 1).all()
    assert (cue == cue[:, :1]).all()
    assert (weight[:, :-1] == 0).all() and (weight[:, -1] == 1).all()
    assert (target == target[:, :1]).all()
    shown = cue[:, 0] != 0
    np.testing.assert_array_equal(cue[:, 0][shown], target[:, 0][shown])


def test_each_cycle_shows_all_patterns_in_an_order_of_its_own(getkey):
    x, target, _ = sampled(TASK, getkey())
    lesson = x[:, :18].reshape(500, 2, 3, 3, 10)[:, :, :, 0]
    codes = (lesson > 0) @ (1 << np.arange(10))
    np.testing.assert_array_equal(np.sort(codes[:, 0]), np.sort(codes[:, 1]))
    distinct = np.array([len(set(own)) == 3 for own in codes[:, 0]])
    same = (codes[:, 0] == codes[:, 1]).all(1)[distinct].mean()
    assert 0.08 < same < 0.26  # 1 in 6 orders
    asked = (target[:, 0] > 0) @ (1 << np.arange(10))
    place = (codes[:, 0] == asked[:, None])[distinct].mean(0)
    assert (abs(place - 1 / 3) < 0.09).all()


def test_balanced_patterns_and_halves(getkey):
    x, target, _ = sampled(TASK, getkey())
    assert (target[:, 0].sum(1) == 0).all()
    assert ((x[:, -1] != 0).sum(1) == 5).all()
    assert (abs(target[:, 0].mean(0)) < 0.2).all()  # every bit both ways
    assert (abs((x[:, -1] != 0).mean(0) - 0.5) < 0.1).all()
    odd, _, _ = sampled(BinaryPatterns(bits=5), getkey())
    assert ((odd[:, -1] != 0).sum(1) == 2).all()


def test_by_chance(getkey):
    task = BinaryPatterns(bits=10, balanced=False)
    x, target, _ = sampled(task, getkey())
    for counts in ((target[:, 0] > 0).sum(1), (x[:, -1] != 0).sum(1)):
        assert abs(counts.mean() - 5) < 0.3
        assert abs(counts.var() - 2.5) < 0.7  # binomial; 0 where exactly half


@pytest.mark.slow
def test_published_lengths_and_chance(getkey):
    assert BinaryPatterns().sample(getkey()).stream.x.shape == (11, 1, 50)
    largest = BinaryPatterns(bits=1000, patterns=5, cycles=2, on=6, off=4)
    episode = largest.sample(getkey())
    assert episode.stream.x.shape == (106, 1, 1000)
    # Whoever guesses what is zeroed is wrong in a quarter of all bits.
    cue, pattern = episode.stream.x[-1], episode.stream.target[-1]
    guess = jnp.where(cue != 0, cue, jnp.sign(jr.normal(getkey(), cue.shape)))
    assert abs(float(episode.criterion.score(guess, pattern)[0]) - 0.25) < 0.05


@pytest.mark.parametrize(
    "options, words",
    [
        ({"bits": 1}, "bits 1"),
        ({"patterns": 0}, "patterns 0"),
        ({"cycles": 0}, "cycles 0"),
        ({"on": 0}, "on 0"),
        ({"off": -1}, "off -1"),
        ({"cue": 0}, "cue 0"),
    ],
)
def test_impossible_options_are_one_sentence(options, words):
    with pytest.raises(UsageError, match=words):
        BinaryPatterns(**options)
