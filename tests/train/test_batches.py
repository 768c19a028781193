"""From a data set to the inputs of a step: orders, ranges, sizes, crops, and no leak."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from small_data import image_dataset, small_dataset

from metaplastic._errors import UsageError
from metaplastic.train import TrainOptions
from metaplastic.train.batches import crop_and_flip, make_batches


def batches_of(dataset, **options):
    return make_batches(dataset, TrainOptions(**{"batch_size": 5, **options}))


def test_order_shows_no_example_twice_and_skips_an_incomplete_batch(getkey):
    batches = batches_of(small_dataset(23))
    assert batches.steps_per_epoch == 4
    order = np.asarray(batches.order(jnp.int32(0), key=getkey()))
    assert order.shape == (4, 5)
    assert len(set(order.flat)) == 20
    assert set(order.flat) <= set(range(23))


def test_order_is_a_permutation_that_changes_with_epoch_and_key(getkey):
    batches, key = batches_of(small_dataset(20)), getkey()
    orders = [np.asarray(batches.order(jnp.int32(epoch), key=key)).ravel() for epoch in range(3)]
    orders.append(np.asarray(batches.order(jnp.int32(0), key=getkey())).ravel())
    for order in orders:
        assert sorted(order) == list(range(20))
    assert len({tuple(order) for order in orders}) == 4


def test_every_example_has_its_turn(getkey):
    """Over many epochs an example is skipped as often as any other."""
    batches, key = batches_of(small_dataset(8)), getkey()
    orders = jax.vmap(lambda epoch: batches.order(epoch, key=key))(jnp.arange(2000))
    seen = np.bincount(np.asarray(orders).ravel(), minlength=8)
    # 2000 epochs of 5 out of 8: mean 1250, standard deviation 21.7 an example.
    assert np.abs(seen - 1250).max() < 5 * 21.7


def test_validation_and_test_examples_are_in_no_batch(getkey):
    batches = batches_of(small_dataset(23), validation=0.3)
    valid = set(np.asarray(batches.valid.x[:, 0]))
    test = set(np.asarray(batches.test.x[:, 0]))
    assert (len(valid), len(test)) == (7, 7)
    seen = set()
    for epoch in range(20):
        for indices in batches.order(jnp.int32(epoch), key=jr.key(0)):
            x, _ = batches.batch(indices, key=getkey())
            seen |= set(np.asarray(x[:, 0]))
    assert seen == set(range(23)) - valid
    assert min(test) >= 1000


def test_batch_holds_its_examples_with_one_hot_labels(small, getkey):
    batches = batches_of(small)
    x, y = batches.batch(jnp.array([4, 0, 22]), key=getkey())
    np.testing.assert_array_equal(x, small.x_train[[4, 0, 22]])
    np.testing.assert_array_equal(y, np.eye(3)[small.y_train[[4, 0, 22]]])
    assert y.dtype == jnp.float32


@pytest.mark.parametrize(("input_range", "low", "high"), [("unit", 0, 1), ("symmetric", -1, 1)])
def test_range_of_bytes(images, input_range, low, high):
    batches = batches_of(images, input_range=input_range)
    assert batches.train.x.dtype == jnp.uint8
    shown = batches.inputs(jnp.array([[[[0]], [[255]]]], jnp.uint8)).ravel()
    np.testing.assert_allclose(shown, [low, high], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_standardised_a_channel_by_the_training_set_alone(channels):
    dataset = image_dataset(channels=channels)
    batches = batches_of(dataset, input_range="standardised", validation=4.0)
    shown = np.asarray(batches.inputs(batches.train.x), np.float64)
    np.testing.assert_allclose(shown.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(shown.std((0, 1, 2)), 1, atol=1e-5)
    kept = np.asarray(batches.train.x, np.float64)
    expected = (np.asarray(batches.test.x) - kept.mean((0, 1, 2))) / kept.std((0, 1, 2))
    np.testing.assert_allclose(batches.inputs(batches.test.x), expected, atol=1e-4)


def test_feature_that_never_varies_is_zero():
    x = np.ones((6, 2), np.float32)
    x[:, 1] = range(6)
    dataset = small_dataset(x_train=x, y_train=np.arange(6) % 3, x_test=x, y_test=np.arange(6) % 3)
    shown = np.asarray(batches_of(dataset, input_range="standardised").inputs(jnp.asarray(x)))
    np.testing.assert_array_equal(shown[:, 0], 0)
    np.testing.assert_allclose(shown[:, 1].std(), 1, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_is_bilinear_and_keeps_bytes(channels):
    dataset = image_dataset(side=4, channels=channels)
    batches = batches_of(dataset, resize=8)
    assert batches.train.x.shape == (12, 8, 8, channels)
    assert batches.test.x.shape == (5, 8, 8, channels)
    assert batches.train.x.dtype == jnp.uint8
    assert batches.shape == (8, 8, channels)
    # Twice the side: a pixel is 3/4 of the nearest and 1/4 of the next, in each direction.
    expected = dataset.x_train.reshape(12, 4, 4, channels).astype(float)
    for axis in (1, 2):
        expected = _twice(expected, axis)
    assert np.abs(np.asarray(batches.train.x, float) - expected).max() <= 0.5 + 1e-3


def _twice(x: np.ndarray, axis: int) -> np.ndarray:
    x = np.moveaxis(x, axis, 0)
    before, after = np.concatenate([x[:1], x[:-1]]), np.concatenate([x[1:], x[-1:]])
    pairs = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], 1)
    return np.moveaxis(pairs.reshape(2 * len(x), *x.shape[1:]), 0, axis)


def test_crops_are_windows_of_the_padded_image_half_of_them_mirrored(images, getkey):
    image = images.x_train[0].reshape(1, 6, 6, 1).astype(np.float32) + 1
    many = jnp.asarray(np.repeat(image, 400, 0))
    shown = np.asarray(crop_and_flip(many, key=getkey()))
    assert shown.shape == many.shape
    padded = np.pad(image[0], ((4, 4), (4, 4), (0, 0)))
    windows = {}
    for row in range(9):
        for column in range(9):
            window = padded[row : row + 6, column : column + 6]
            windows.setdefault(window.tobytes(), set()).add((row, column, False))
            mirrored = np.ascontiguousarray(window[:, ::-1])
            windows.setdefault(mirrored.tobytes(), set()).add((row, column, True))
    found = [windows[own.tobytes()] for own in shown]  # a KeyError: no window at all
    flips = [next(iter(own))[2] for own in found if len(own) == 1]
    assert len(flips) > 350
    assert 0.4 < np.mean(flips) < 0.6
    assert {next(iter(own))[0] for own in found if len(own) == 1} == set(range(9))


def test_augmentation_is_for_training_alone(images, getkey):
    plain, augmented = batches_of(images), batches_of(images, augment=True)
    index = jnp.arange(5)
    x, y = augmented.batch(index, key=getkey())
    assert x.shape == (5, 6, 6, 1)
    assert not np.array_equal(x, plain.batch(index, key=getkey())[0])
    np.testing.assert_array_equal(y, plain.batch(index, key=getkey())[1])
    np.testing.assert_array_equal(augmented.inputs(augmented.test.x), plain.inputs(plain.test.x))


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"batch_size": 24}, "--batch-size 24 is larger than the 23 training examples of small"),
        ({"batch_size": 20, "validation": 0.3}, "than the 16 training examples"),
        ({"resize": 4}, "--resize needs images"),
        ({"augment": True}, "--augment needs images"),
        ({"validation": 23.0}, "a validation set of 23 cannot be taken"),
        ({"validation": 1.5}, "a validation set of 1.5 cannot be taken"),
    ],
)
def test_what_cannot_be_made_is_named(small, options, advice):
    with pytest.raises(UsageError) as error:
        batches_of(small, **options)
    assert advice in str(error.value)


def test_batch_of_all_data(small):
    assert batches_of(small, batch_size=23).steps_per_epoch == 1
