"""A grid of learning rates that goes on beyond its ends while the best rate lies there."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from .._errors import UsageError


class Tried(Protocol):
    """A learning rate that was tried."""

    @property
    def rate(self) -> float: ...

    @property
    def score(self) -> float:
        """The more the better; -inf where a run diverged."""
        ...


T = TypeVar("T", bound=Tried)


def check_grid(rates: Sequence[float], grid_seeds: int, seeds: int, widen: int) -> None:
    """Raises `UsageError` for rates that are not, or twice, for more seeds than there are, and for
    fewer than no rates beyond the grid."""
    for rate in rates:
        if not 0 < rate < math.inf:
            raise UsageError(f"--rates {rate:g}: each learning rate must be positive")
        if rates.count(rate) > 1:
            raise UsageError(f"--rates names {rate:g} twice: name each learning rate once")
    if not 1 <= grid_seeds <= seeds:
        raise UsageError(f"--grid-seeds {grid_seeds}: choose from 1 to {seeds}, the --seeds")
    if widen < 0:
        raise UsageError(f"--widen {widen}: it must not be negative; 0 widens no grid")


def search(
    rates: Sequence[float], widen: int, run: Callable[[Sequence[float], str], list[T]]
) -> list[T]:
    """All that was tried, by rate: `run(rates, name)` of the grid, then of one rate beyond it after
    another, `widen` at most, while the best lies at an end."""
    tried = sorted(run(rates, "grid"), key=lambda own: own.rate)
    for _ in range(widen):
        further = beyond([own.rate for own in tried], [own.score for own in tried])
        if further is None:
            break
        tried = sorted(tried + run((further,), f"grid-{further:g}"), key=lambda own: own.rate)
    return tried


def best_of(tried: Sequence[T]) -> T:
    """The one of the highest score; the lowest rate where all diverged."""
    return max(tried, key=lambda own: own.score)


def beyond(rates: Sequence[float], scores: Sequence[float]) -> float | None:
    """The next rate beyond the end at which the best one lies, in the steps of the grid: after
    0.03, 0.1 and 0.3 comes 1. None where the best lies between others, where all diverged, and
    where a single rate has no steps."""
    best = max(range(len(rates)), key=lambda index: scores[index])
    if not math.isfinite(scores[best]) or len(rates) < 2 or 0 < best < len(rates) - 1:
        return None
    outward = (rates if best == 0 else rates[::-1])[:3]
    return float(f"{outward[0] * outward[-2] / outward[-1]:.6g}")


def counted(rates: Sequence[float]) -> str:
    """`3 rates`, or `rate 0.1` of one alone."""
    return f"{len(rates)} rates" if len(rates) > 1 else f"rate {rates[0]:g}"
