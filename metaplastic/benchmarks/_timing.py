"""Timing candidates in turn, so that a machine that slows down slows all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


def seconds_each(
    candidates: Mapping[str, Callable[[], Any]], *, repeats: int = 7
) -> dict[str, list[float]]:
    """Seconds of each candidate, measured round by round after one round of warming up."""
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(repeats + 1):
        for name, candidate in candidates.items():
            began = time.perf_counter()
            jax.block_until_ready(candidate())
            if turn:
                found[name].append(time.perf_counter() - began)
    return found


def shared_by() -> int:
    """Devices that a benchmark divides work among: two, where there are as many."""
    return min(jax.local_device_count(), 2)


def turned(name: str, theirs: list[float], ours: list[float], bar: str) -> dict[str, Any]:
    """A comparison of how many times as long the others take."""
    own = row(name, theirs, ours, bar)
    own["ours_ms"], own["reference_ms"] = own["reference_ms"], own["ours_ms"]
    return own


def row(name: str, seconds: list[float], reference: list[float], bar: str) -> dict[str, Any]:
    """One comparison: medians in milliseconds, and the median of the ratios round by round."""
    ratios = [a / b for a, b in zip(seconds, reference, strict=True)]
    return {
        "comparison": name,
        "ours_ms": 1e3 * statistics.median(seconds),
        "reference_ms": 1e3 * statistics.median(reference),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "bar": bar,
    }
