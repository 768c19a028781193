"""Robustness to the learning rate: against a tent whose width is known."""

import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.robustness import robustness

RATES = 10.0 ** np.arange(-4, 1)


def tent(slope, centre=-2.0, seeds=1):
    """Accuracy falls by `slope` a decade on both sides of the centre."""
    return np.repeat((0.9 - slope * np.abs(np.log10(RATES) - centre))[:, None], seeds, 1)


@pytest.mark.parametrize("slope", [0.03, 0.1, 0.4])
def test_width_of_a_tent(slope):
    found = robustness(RATES, tent(slope))
    assert found.best_rate == pytest.approx(0.01)
    assert found.best_accuracy == pytest.approx(0.9)
    assert found.width_decades == pytest.approx(2 * 0.02 / slope)
    assert found.bounded
    assert found.diverged == 0


def test_a_plateau_that_the_grid_does_not_leave_is_a_lower_bound():
    found = robustness(RATES, tent(0.001))
    assert found.width_decades == pytest.approx(4)
    assert not found.bounded


def test_the_mean_over_seeds_decides():
    table = tent(0.1, seeds=2)
    table[2] += [0.05, -0.05]
    table[3] = [0.95, 0.5]
    found = robustness(RATES, table)
    assert found.best_rate == pytest.approx(0.01)
    assert found.best_accuracy == pytest.approx(0.9)


def test_diverged_rates_are_neither_best_nor_within():
    table = tent(0.001, seeds=2)
    table[4] = np.nan
    table[3] = [0.99, np.nan]
    found = robustness(RATES, table.tolist())
    assert found.best_rate == pytest.approx(0.01)
    assert found.width_decades == pytest.approx(2)
    assert found.diverged == pytest.approx(3 / 10)


def test_only_the_interval_around_the_best_counts():
    found = robustness(RATES, [[0.89], [0.5], [0.9], [0.5], [0.89]])
    assert found.width_decades == pytest.approx(2 * 0.02 / 0.4)


def test_all_diverged():
    found = robustness(RATES, np.full((5, 3), np.nan))
    assert (found.best_rate, found.best_accuracy, found.diverged) == (None, None, 1)


@pytest.mark.parametrize(
    ("rates", "table", "message"),
    [
        ([0.1, 0.01], np.ones((2, 1)), "ascend"),
        ([0.0, 0.1], np.ones((2, 1)), "positive"),
        ([0.1, 0.2], np.ones((3, 1)), "2 rates"),
    ],
)
def test_wrong_grids_are_refused(rates, table, message):
    with pytest.raises(UsageError, match=message):
        robustness(rates, table)
