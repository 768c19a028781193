"""How much a rule depends on its learning rate.

Rules differ in their best rates by factors of 100 to 1,000 (Sanfiz & Akrout, 2021), so that each
is judged at its own, together with how wide the range of good rates is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._errors import UsageError

WITHIN = 0.02
"""Accuracy that a good rate may lose against the best one: two points."""


@dataclass(frozen=True)
class Robustness:
    """What a grid of learning rates shows of a rule."""

    best_rate: float | None
    """The rate of the best mean accuracy; None where every rate diverged."""
    best_accuracy: float | None
    """That mean accuracy."""
    width_decades: float
    """Length, in decades around the best rate, of the rates within two points of it."""
    bounded: bool
    """Does the grid reach beyond those rates on both sides? If not, the width is a lower bound."""
    diverged: float
    """Part of all runs (rates and seeds) that diverged."""


def robustness(
    rates: Sequence[float | int] | np.ndarray,
    accuracy: Sequence[Sequence[float | None]] | np.ndarray,
    within: float | int = WITHIN,
) -> Robustness:
    """Best rate, width and divergence of `accuracy` [rates, seeds] over ascending `rates`.

    The mean over seeds is interpolated linearly over log10(rate); the width is that of the
    interval around the best rate where it stays within `within` of the best. A run that diverged
    is NaN (or None); a rate at which any seed diverged is neither the best nor within. Raises
    `UsageError` for rates that do not ascend and for accuracies of another shape.
    """
    x, table = _checked(rates, accuracy)
    finite = np.isfinite(table)
    good = finite.all(1)
    lost = float(1 - finite.mean())
    if not good.any():
        return Robustness(None, None, 0.0, False, lost)
    means = np.full(len(x), -np.inf)
    means[good] = table[good].mean(1)
    best = int(means.argmax())
    floor = float(means[best]) - within
    up, above = _reach(x[best:], means[best:], floor)
    down, below = _reach(-x[: best + 1][::-1], means[: best + 1][::-1], floor)
    rate = float(10 ** x[best])
    return Robustness(rate, float(means[best]), up + down, above and below, lost)


def _reach(x: np.ndarray, means: np.ndarray, floor: float) -> tuple[float, bool]:
    """How far from x[0] the curve stays above `floor`, and whether it is seen to fall below it."""
    for i in range(1, len(x)):
        if means[i] >= floor:
            continue
        if not np.isfinite(means[i]):  # diverged: good rates end at the last that is known
            return float(x[i - 1] - x[0]), True
        part = (means[i - 1] - floor) / (means[i - 1] - means[i])
        return float(x[i - 1] + part * (x[i] - x[i - 1]) - x[0]), True
    return float(x[-1] - x[0]), False


def _checked(rates: object, accuracy: object) -> tuple[np.ndarray, np.ndarray]:
    values, table = np.asarray(rates, np.float64), np.asarray(accuracy, np.float64)
    if (
        values.ndim != 1
        or not values.size
        or not (values > 0).all()
        or (np.diff(values) <= 0).any()
    ):
        raise UsageError(f"rates {values.tolist()}: they must be positive and ascend")
    if table.ndim != 2 or len(table) != len(values) or not table.shape[1]:
        raise UsageError(
            f"accuracy has shape {table.shape}: give [rates, seeds], {len(values)} rates"
        )
    return np.log10(values), table
