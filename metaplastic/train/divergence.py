"""Finds the first value of a chunk that is not finite, and says which it was."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .._files import write_atomic
from .._json import dumps
from ..report.records import RunFolder
from .trainer import ChunkMetrics

_FILE = "diverged.json"


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


def write_divergences(folder: RunFolder, found: Mapping[int, Divergence]) -> None:
    """Keep the divergences by replica beside the checkpoints that they were found before."""
    record = {str(replica): own._asdict() for replica, own in found.items()}
    write_atomic(folder.path / _FILE, dumps(record) + "\n", run=folder.path)


def read_divergences(folder: RunFolder, *, before: int) -> dict[int, Divergence]:
    """Those that lie before the step of a checkpoint; a resumed run finds the later ones again."""
    path = folder.path / _FILE
    if not path.exists():
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    found = {int(replica): Divergence(**own) for replica, own in record.items()}
    return {replica: own for replica, own in found.items() if own.step < before}
