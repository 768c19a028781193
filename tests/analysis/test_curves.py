"""Slowness, epochs to a target, area: against curves whose values are known."""

import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.curves import area_under, epochs_to, slowness


def formula(s, best, epochs=40):
    n = np.arange(1, epochs + 1)
    return best * n / (s + n)


@pytest.mark.parametrize("s", [0.05, 0.5, 3.0, 40.0])
def test_a_curve_of_the_formula_gives_back_its_slowness(s):
    found, best, meaningful = slowness(formula(s, 0.9), 100, best=0.9)
    assert found == pytest.approx(s, rel=1e-6)
    assert best == 0.9
    assert meaningful


def test_the_observed_maximum_and_the_least_squares_by_brute_force():
    curve = formula(2.0, 0.8, 25) + 0.01 * np.sin(np.arange(25))
    found = slowness(curve, 10)
    n = np.arange(1, 26)
    grid = np.linspace(0, 5, 20001)
    errors = ((curve.max() * n / (grid[:, None] + n) - curve) ** 2).sum(1)
    assert found.best == curve.max()
    assert found.slowness == pytest.approx(grid[errors.argmin()], abs=3e-4)


def test_only_the_first_epochs_count():
    curve = formula(1.5, 0.9, 60)
    assert slowness(np.r_[curve, np.full(20, 0.99)], 10) == slowness(curve, 10)
    assert slowness(curve, 10, epochs=5).best == curve[4]


def test_chance_does_not_enter_the_fit():
    curve = formula(1.5, 0.9)
    assert slowness(curve, 2).slowness == slowness(curve, 1000).slowness


@pytest.mark.parametrize(
    "curve",
    [
        [0.3, 0.9, 0.5, 0.9, 0.95],  # falls by half of its climb
        [0.1, 0.1, 0.1, 0.1],  # never rises above chance
        [0.5, 0.9],  # too short
    ],
)
def test_a_fit_that_says_nothing_is_flagged(curve):
    assert not slowness(curve, 10).meaningful


def test_noise_within_a_tenth_of_the_climb_is_not_flagged():
    assert slowness([0.5, 0.8, 0.75, 0.82, 0.85], 10).meaningful


def test_epochs_to():
    assert epochs_to([0.2, 0.5, 0.4, 0.9], 0.5) == 2
    assert epochs_to([0.2, 0.5], 0.2) == 1
    assert epochs_to([0.2, 0.5], 0.6) is None


def test_area_under():
    assert area_under([0.0, 1.0]) == 0.5
    assert area_under([0.2, 0.6, 0.8]) == pytest.approx((0.4 + 0.7) / 2)
    assert area_under([0.7]) == 0.7


@pytest.mark.parametrize(
    ("curve", "classes", "message"),
    [
        ([0.1, float("nan")], 10, "accuracy of epoch 2 is nan"),
        ([], 10, "one value an epoch"),
        (np.ones((2, 2)), 10, "shape \\(2, 2\\)"),
        ([0.5, 0.6], 1, "at least 2"),
    ],
)
def test_what_cannot_be_fitted_is_refused(curve, classes, message):
    with pytest.raises(UsageError, match=message):
        slowness(curve, classes)
