"""The shipped digits are scikit-learn's, in a fixed order."""

import numpy as np
import pytest

from metaplastic.data import load, verify


def test_shipped_file_is_the_recorded_one():
    assert [r.state for r in verify("digits")] == ["ok"]


def test_values_lie_between_zero_and_one():
    data = load("digits")
    assert data.x_train.dtype == np.uint8 and data.x_train.shape == (1437, 8, 8)
    for x in (data.x_train, data.x_test):
        assert x.min() == 0 and (x / data.scale).max() == 1
    assert data.classes == 10 and data.licence == "CC BY 4.0"


def test_same_images_and_labels_as_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    order = np.random.default_rng(0).permutation(1797)
    data = load("digits")
    np.testing.assert_array_equal(np.r_[data.x_train, data.x_test], digits.images[order])
    np.testing.assert_array_equal(np.r_[data.y_train, data.y_test], digits.target[order])
