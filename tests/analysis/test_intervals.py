"""Bootstrap intervals of a mean."""

import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.intervals import bootstrap_interval


def test_it_is_near_the_normal_interval():
    values = np.random.default_rng(1).normal(3.0, 2.0, 4000)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(4000)
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.01)


@pytest.mark.slow
def test_it_covers_the_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    draws = generator.exponential(1.0, (200, 60))
    covered = [low <= 1 <= high for low, high in (bootstrap_interval(d) for d in draws)]
    assert 0.86 <= np.mean(covered) <= 0.99


def test_single_constant_and_odd_values():
    assert bootstrap_interval([0.5]) == (0.5, 0.5)
    assert bootstrap_interval([2.0, 2.0]) == (2.0, 2.0)
    assert np.isnan(bootstrap_interval([1.0, np.nan])).all()
    with pytest.raises(UsageError, match="empty"):
        bootstrap_interval([])
