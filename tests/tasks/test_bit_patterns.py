"""Completion, one-shot labels and reversal: what the learner sees, moment by moment."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.tasks.one_shot import OneShot
from metaplastic.tasks.pattern_completion import PatternCompletion
from metaplastic.tasks.reversal import Reversal


def sampled(task, key, n=2000):
    episodes = jax.jit(jax.vmap(task.sample))(jr.split(key, n))
    s = episodes.stream
    assert s.y is None and episodes.query is None
    return np.array(s.x[:, :, 0]), np.array(s.target[:, :, 0]), np.array(s.weight), episodes


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_completion(variant, getkey):
    x, target, weight, _ = sampled(PatternCompletion(variant=variant), getkey())
    pattern, cue = x[:, 0], x[:, 1]
    np.testing.assert_array_equal(target[:, 1], pattern)
    assert (weight == [0, 1]).all()
    kept = cue != 0
    assert (kept.sum(1) == 1).all()
    np.testing.assert_array_equal(cue[kept], pattern[kept])
    assert set(np.unique(pattern)) == ({0, 1} if variant == "paper" else {-1, 1})
    if variant == "paper":
        assert pattern.any(1).all()  # at least one 1
    assert len(np.unique(pattern, axis=0)) == (255 if variant == "paper" else 256)
    # The kept bit is uniform among those that could be kept.
    share = kept.mean(0)
    assert abs(share - 1 / 8).max() < 0.03


def test_completion_is_scored_as_its_bits_are_coded():
    output, bits = jnp.array([[0.7, 0.2, -3.0, 0.4]]), jnp.array([[1.0, 0.0, 0.0, 1.0]])
    paper = PatternCompletion(bits=4).episode(bits[0], jnp.array(0)).criterion
    np.testing.assert_allclose(paper.score(output, bits), [0.25])
    np.testing.assert_allclose(paper.loss(output, bits), [0.3 + 0.2 + 3 + 0.6], rtol=1e-6)
    signs = 2 * bits - 1
    released = PatternCompletion(bits=4, variant="released").episode(signs[0], jnp.array(0))
    np.testing.assert_allclose(released.criterion.score(output, signs), [0.25])
    np.testing.assert_allclose(
        released.criterion.loss(output, signs), [0.3**2 + 1.2**2 + 2**2 + 0.6**2], rtol=1e-6
    )


@pytest.mark.parametrize("task", [OneShot(variant="released"), Reversal(variant="released")])
def test_alternation(task, getkey):
    x, target, weight, _ = sampled(task, getkey())
    label, pattern = x[:, :, :2], x[:, :, 2:]
    swap = isinstance(task, Reversal)
    told = [0, 1, 10, 11] if swap else [0, 1]
    assert (np.flatnonzero(1 - weight[0]) == told).all()
    assert (label[:, told] == target[:, told]).all() and not np.delete(label, told, 1).any()
    assert (target.argmax(-1) == np.arange(20) % 2).all()
    first, second = pattern[:, 0], pattern[:, 1]
    assert (first != second).any(1).all()
    for t in range(20):
        shown = first if (t + (swap and t >= 10)) % 2 == 0 else second
        np.testing.assert_array_equal(pattern[:, t], shown)
    if swap:
        np.testing.assert_array_equal(pattern[:, 9], pattern[:, 10])


def test_second_patterns_are_uniform_among_the_others(getkey):
    x, *_ = sampled(OneShot(bits=2, variant="released"), getkey(), n=12_000)
    code = (x[:, :2, 2:] > 0) @ np.array([1, 2])
    pairs = np.zeros((4, 4))
    np.add.at(pairs, (code[:, 0], code[:, 1]), 1 / len(code))
    assert not np.diag(pairs).any()
    np.testing.assert_allclose(pairs[~np.eye(4, dtype=bool)], 1 / 12, atol=0.012)


@pytest.mark.parametrize("kind", [OneShot, Reversal])
def test_random_order_gives_no_hint_in_time(kind, getkey):
    task = kind(order="random")
    x, target, weight, _ = sampled(task, getkey())
    judged = weight[0] == 1
    assert abs(target[:, judged, 0].mean(0) - 0.5).max() < 0.05
    # What is judged was labelled before: pattern and class agree within each half.
    for half in [slice(0, 20)] if kind is OneShot else [slice(0, 10), slice(10, 20)]:
        pattern, cls = x[:, half, 2:], target[:, half].argmax(-1)
        shown = np.take_along_axis(pattern[:, :2], cls[:, :, None], 1)
        np.testing.assert_array_equal(shown, pattern)
        assert (cls[:, :2] == [0, 1]).all()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: OneShot(moments=2), "at least 3"),
        (lambda: Reversal(moments=7), "such as 8"),
        (lambda: PatternCompletion(bits=0), "1 to 30"),
        (lambda: OneShot(bits=31), "1 to 30"),
    ],
)
def test_impossible_tasks_are_one_sentence(make, words):
    with pytest.raises(UsageError, match=words):
        make()
