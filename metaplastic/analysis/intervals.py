"""How sure a mean is: bootstrap intervals."""

import numpy as np
import numpy.typing as npt

from .._errors import UsageError


def bootstrap_interval(
    values: npt.ArrayLike, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval of the mean of `values` [n] under resampling with replacement.

    NaN where any value is not finite; the value itself, twice, for a single one. Raises
    `UsageError` for none. Efron (1979), "Bootstrap methods: another look at the jackknife".
    """
    own = np.asarray(values, np.float64).reshape(-1)
    if not own.size:
        raise UsageError("values is empty: an interval needs at least one value")
    if not np.isfinite(own).all():
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    means = [own[generator.integers(0, own.size, own.size)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
