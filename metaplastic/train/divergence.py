"""Finds the first value of a chunk that is not finite, and says which it was."""

from typing import NamedTuple

import numpy as np

from .trainer import ChunkMetrics


class Divergence(NamedTuple):
    """Where a replica went wrong."""

    step: int
    """First step whose loss is not finite, or the last of the chunk."""
    what: str
    """The loss, or the path of a weight."""
    value: str


def find_divergence(metrics: ChunkMetrics, first_step: int) -> dict[int, Divergence]:
    """Divergences by replica; empty where all is finite."""
    loss = np.asarray(metrics.loss)
    finite = {path: np.asarray(ok) for path, ok in metrics.finite.items()}
    found = {}
    for replica in range(loss.shape[0]):
        bad = np.flatnonzero(~np.isfinite(loss[replica]))
        if bad.size:
            value = float(loss[replica, bad[0]])
            found[replica] = Divergence(first_step + int(bad[0]), "the loss", f"{value}")
            continue
        paths = [path for path, ok in finite.items() if not ok[replica]]
        if paths:
            last = first_step + loss.shape[1] - 1
            found[replica] = Divergence(last, f"the weight {paths[0]}", "not finite")
    return found
