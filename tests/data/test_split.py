"""Validation comes from the training set alone, keeps the shares of classes, is fixed by a seed."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from metaplastic._errors import UsageError
from metaplastic.data import load, split_validation

DIGITS = load("digits")


@settings(max_examples=30, deadline=None)
@given(size=st.one_of(st.integers(1, 1436), st.floats(0.001, 0.999)), seed=st.integers(0, 2**32))
def test_parts_are_a_partition_with_the_shares_of_the_classes(size, seed):
    train, valid = split_validation(DIGITS, size, seed)
    wanted = size if isinstance(size, int) else round(size * 1437)
    assert len(valid.y) == wanted
    assert sorted([*train.index, *valid.index]) == list(range(1437))
    for part in (train, valid):
        np.testing.assert_array_equal(part.x, DIGITS.x_train[part.index])
        np.testing.assert_array_equal(part.y, DIGITS.y_train[part.index])
    exact = np.bincount(DIGITS.y_train) * wanted / 1437
    assert np.all(np.abs(np.bincount(valid.y, minlength=10) - exact) < 1)


def test_seed_fixes_the_choice():
    first, again = split_validation(DIGITS, 0.2, 3), split_validation(DIGITS, 0.2, 3)
    np.testing.assert_array_equal(first[1].index, again[1].index)
    assert not np.array_equal(first[1].index, split_validation(DIGITS, 0.2, 4)[1].index)


def test_test_set_is_never_touched():
    other = dataclasses.replace(DIGITS, x_test=DIGITS.x_test[:0], y_test=DIGITS.y_test[:0])
    for with_test, without in zip(
        split_validation(DIGITS, 100), split_validation(other, 100), strict=True
    ):
        np.testing.assert_array_equal(with_test.index, without.index)
        assert np.shares_memory(with_test.x, DIGITS.x_test) is False


@pytest.mark.parametrize("size", [0, 0.0, 1e-9, 0.9999999, 1437, 2000, -5, 2.5, np.nan, np.inf])
def test_empty_parts_and_nonsense_are_refused(size):
    with pytest.raises(UsageError, match="from the 1437 training examples of digits"):
        split_validation(DIGITS, float(size) if isinstance(size, np.floating) else size)


def test_two_examples_can_be_split():
    two = dataclasses.replace(DIGITS, x_train=DIGITS.x_train[:2], y_train=np.array([0, 1]))
    train, valid = split_validation(two, 0.5)
    assert len(train.y) == len(valid.y) == 1
