"""Recall of images: how pixels become a pattern, which half is left, which images are kept."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.data._base import Dataset
from metaplastic.tasks.image_patterns import ImagePatterns, different, patterns


def dataset(shape=(4, 6, 3), train=10, test=5):
    """Images whose first pixel tells them apart: 1 to `train`, and 101 on for the test."""
    rng = np.random.default_rng(0)

    def images(count, start):
        x = rng.integers(0, 90, (count, *shape), np.uint8)
        x.reshape(count, -1)[:, 0] = start + np.arange(count)
        return x

    y = np.zeros(train, np.int64)
    return Dataset(
        "made up", images(train, 1), y, images(test, 101), y[:test], 1, 255.0, "here", "none"
    )


def sampled(task, key, n=300):
    stream = jax.jit(jax.vmap(task.sample))(jr.split(key, n)).stream
    return np.array(stream.x[:, :, 0]), np.array(stream.target[:, :, 0]), np.array(stream.weight)


def test_images_become_patterns():
    own = dataset()
    x = own.x_train.astype(float).sum(-1).reshape(10, 24)
    x = x - x.mean(1, keepdims=True)
    expected = x / abs(x).max(1, keepdims=True)
    np.testing.assert_allclose(patterns(jnp.asarray(own.x_train)), expected, atol=1e-6)
    even = patterns(jnp.full((1, 4, 4, 3), 7, jnp.uint8))
    assert not even.any()  # nothing to divide by, and no NaN


def test_a_lifetime_moment_by_moment(getkey):
    task = ImagePatterns(images=2, cycles=2, on=3, off=1, cue=2).with_images(dataset())
    assert task.input_shape == (24,) and task.outputs == 24
    x, target, weight = sampled(task, getkey())
    assert x.shape == (300, 2 * 2 * 4 + 2, 24)
    lesson = x[:, :16].reshape(300, 2, 2, 4, 24)
    assert not lesson[..., 3, :].any() and (lesson[..., 0, :] == lesson[..., 2, :]).all()
    assert (lesson[:, :, 0, 0] != lesson[:, :, 1, 0]).any(-1).all()  # two different images
    cue, asked = x[:, -1], target[:, -1]
    lower = (cue[:, 12:] == asked[:, 12:]).all(1) & ~cue[:, :12].any(1)
    upper = (cue[:, :12] == asked[:, :12]).all(1) & ~cue[:, 12:].any(1)
    assert (lower ^ upper).all() and 0.4 < lower.mean() < 0.6
    assert (weight[:, -1] == 1).all() and not weight[:, :-1].any()


@pytest.mark.parametrize("half", ["top", "bottom"])
def test_the_half_that_is_missing(half, getkey):
    task = ImagePatterns(images=1, cycles=1, half=half).with_images(dataset())
    x, target, _ = sampled(task, getkey(), 20)
    gone = slice(0, 12) if half == "top" else slice(12, 24)
    assert not x[:, -1, gone].any()
    assert (np.delete(x[:, -1], gone, 1) == np.delete(target[:, -1], gone, 1)).all()


def test_images_of_meta_testing_are_others(getkey):
    own = dataset()
    task = ImagePatterns(images=2).with_images(own)
    np.testing.assert_array_equal(task.bank, own.x_train[:8])
    np.testing.assert_array_equal(task.held_out().bank, own.x_train[8:])
    task = ImagePatterns(images=2, held="test_set").with_images(own)
    np.testing.assert_array_equal(task.bank, own.x_train)
    np.testing.assert_array_equal(task.held_out().bank, own.x_test)
    assert task.bank.dtype == jnp.uint8 and task.record()["sha256"] == own.sha256
    known = np.array(patterns(task.held_out().bank))
    _, target, _ = sampled(task.held_out(), getkey(), 100)
    distance = abs(target[:, -1][:, None] - known).max(-1).min(1)
    assert (distance < 1e-6).all()


def test_the_published_task_and_the_shipped_images(getkey):
    task = ImagePatterns().load()
    assert task.input_shape == (64,) and task.load() is task
    assert task.sample(getkey()).stream.x.shape == (201, 1, 64)
    assert ImagePatterns(resize=5).load().outputs == 25


def test_every_set_of_images_is_equally_likely(getkey):
    drawn = jax.jit(jax.vmap(lambda key: different(6, 3, key=key)))(jr.split(getkey(), 6000))
    sets = [tuple(sorted(own)) for own in np.array(drawn).tolist()]
    assert all(len(set(own)) == 3 for own in sets)
    counts = np.unique(sets, axis=0, return_counts=True)[1]
    assert len(counts) == 20 and abs(counts - 300).max() < 5 * 300**0.5
    assert sorted(different(4, 4, key=getkey()).tolist()) == [0, 1, 2, 3]


def test_plain_features_have_halves_too(getkey):
    own = dataset((7,))
    task = ImagePatterns(images=1, half="top").with_images(own)
    x, _, _ = sampled(task, getkey(), 5)
    assert x.shape[2] == 7 and not x[:, -1, :3].any() and x[:, -1, 3:].any()
    with pytest.raises(UsageError, match="resize needs images"):
        ImagePatterns(resize=3).with_images(own)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"images": 0}, "images 0"),
        ({"on": 0}, "on 0"),
        ({"cue": 0}, "cue 0"),
        ({"resize": 1}, "resize 1"),
    ],
)
def test_impossible_options_are_one_sentence(options, words):
    with pytest.raises(UsageError, match=words):
        ImagePatterns(**options)


def test_what_there_is_not_is_one_sentence(getkey):
    with pytest.raises(UsageError, match="has 2 images for meta-testing"):
        ImagePatterns(images=3).with_images(dataset())
    with pytest.raises(UsageError, match=r"call load\(\) first"):
        ImagePatterns().sample(getkey())
