"""How fast a network learns: the slowness of its learning curve, epochs to a target, and the area.

The slowness is that of Dellaferrera & Kreiman (2022), section 4: a curve that starts at chance is
fitted by acc(n) = acc_max n / (s + n), so that s is the epoch at which it is half way up.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._errors import UsageError

Values = Sequence[float | int] | np.ndarray
"""A curve: one accuracy (0 to 1) an epoch, from epoch 1 on."""

_LARGEST_FALL = 0.1
"""Falls beyond this part of the climb from chance to the best make a fit meaningless."""


class Slowness(NamedTuple):
    """A fitted learning curve."""

    slowness: float
    """s, in epochs; smaller is faster."""
    best: float
    """acc_max, the accuracy that the fitted curve climbs to."""
    meaningful: bool
    """Is the curve long and monotone enough for s to say anything?"""


def slowness(
    accuracy: Values, classes: int, epochs: int = 60, *, best: float | int | None = None
) -> Slowness:
    """s of the least-squares fit acc(n) = best n / (s + n) over the first `epochs` epochs.

    `best` is the observed maximum where it is not given. Chance, 1/`classes`, stands for epoch 0:
    it leaves s as it is (the formula is 0 there whatever s is) and counts in `meaningful`, which
    is False for less than 3 epochs, for a curve that never rises above chance, and for one that
    falls by more than a tenth of its climb. Raises `UsageError` for values that are not finite.

    Source: Dellaferrera & Kreiman (2022), section 4.
    """
    from scipy.optimize import least_squares

    curve = _finite(accuracy)[:epochs]
    if classes < 2:
        raise UsageError(f"classes={classes}: a learning curve needs at least 2")
    whole = np.concatenate([[1 / classes], curve])
    top = float(whole.max() if best is None else best)
    n = np.arange(1, len(curve) + 1)
    fit = least_squares(
        lambda s: top * n / (s + n) - curve,
        x0=[0.5],
        bounds=(0, np.inf),
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    return Slowness(float(fit.x[0]), top, _meaningful(whole))


def epochs_to(accuracy: Values, target: float | int) -> int | None:
    """The first epoch (counted from 1) whose accuracy reaches `target`; None if none does."""
    reached = np.flatnonzero(_finite(accuracy) >= target)
    return int(reached[0]) + 1 if reached.size else None


def area_under(accuracy: Values) -> float:
    """Area under the curve (trapezoids) divided by its length: the mean accuracy on the way."""
    curve = _finite(accuracy)
    if len(curve) == 1:
        return float(curve[0])
    return float(np.trapezoid(curve) / (len(curve) - 1))


def _meaningful(whole: np.ndarray) -> bool:
    climb = whole.max() - whole[0]
    fall = np.max(np.maximum.accumulate(whole) - whole)
    return bool(len(whole) > 3 and climb > 0 and fall <= _LARGEST_FALL * climb)


def _finite(accuracy: Values) -> np.ndarray:
    curve = np.asarray(accuracy, np.float64)
    if curve.ndim != 1 or not curve.size:
        raise UsageError(f"accuracy has shape {curve.shape}: give one value an epoch, [epochs]")
    bad = np.flatnonzero(~np.isfinite(curve))
    if bad.size:
        raise UsageError(
            f"the accuracy of epoch {bad[0] + 1} is {curve[bad[0]]}: leave diverged runs out"
        )
    return curve
