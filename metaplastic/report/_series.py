"""Curves of a run over its epochs, read from its records: what figures are drawn from."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic._errors import MetaplasticError

_ANGLES = ("update_angle", "delta_angle", "weight_angle")


@dataclasses.dataclass(frozen=True)
class Series:
    """What one rule's run recorded, epoch by epoch."""

    label: str
    rule: str
    epochs: np.ndarray
    """[epochs], the start (0) included."""
    values: dict[str, np.ndarray]
    """By name, `test_accuracy`, …: [epochs, seeds], NaN where nothing was recorded."""
    angles: dict[str, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    """`update_angle`, `delta_angle` and `weight_angle`, by layer: [epochs, seeds], degrees."""
    first_decay: float | None = None
    """Epoch at which the schedule first lowered the learning rate in a step; None: nowhere."""

    @property
    def seeds(self) -> int:
        return next((own.shape[1] for own in self.values.values()), 0)

    def has(self, name: str) -> bool:
        """Is there any finite value of this name?"""
        return name in self.values and bool(np.isfinite(self.values[name]).any())


def from_metrics(
    records: Sequence[Mapping[str, Any]], rule: str, label: str | None = None
) -> Series:
    """The series of a run of `metaplastic train`, from its `metrics.jsonl`.

    Raises `MetaplasticError` where records hold different numbers of seeds.
    """
    records = [record for record in records if "epoch" in record]
    lists = {
        name: None
        for record in records
        for name, value in record.items()
        if isinstance(value, list)
    }
    values = {name: _table([record.get(name) for record in records], name) for name in lists}
    angles = {}
    for kind in _ANGLES:
        layers = {layer: None for record in records for layer in record.get(kind, {})}
        rows = [record.get(kind, {}) for record in records]
        angles[kind] = {layer: _table([row.get(layer) for row in rows], layer) for layer in layers}
    epochs = np.asarray([record["epoch"] for record in records], np.int64)
    return Series(label or rule, rule, epochs, values, _nonempty(angles))


def from_row(row: Mapping[str, Any]) -> Series | None:
    """The series of one rule of a comparison; None where it has no curve."""
    curve = row.get("curve") or {}
    epochs = curve.get("epoch") or []
    if not epochs:
        return None
    values = {name: _table(own, name) for name, own in curve.items() if name != "epoch"}
    angles = {
        kind: {layer: _table(own, layer) for layer, own in (row.get(kind) or {}).items()}
        for kind in _ANGLES
    }
    rule = str(row.get("name") or row["rule"])
    numbers = np.asarray(epochs, np.int64)
    decay = row.get("first_decay")
    return Series(str(row["rule"]), rule, numbers, values, _nonempty(angles), decay)


def mean_and_std(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and (population) standard deviation over the last axis, leaving NaN out."""
    masked = np.ma.masked_invalid(np.asarray(values, np.float64))
    return np.ma.filled(masked.mean(-1), np.nan), np.ma.filled(masked.std(-1), np.nan)


def _table(rows: Sequence[Any], name: str) -> np.ndarray:
    """[epochs, seeds]; epochs without a record are NaN."""
    width = max((len(row) for row in rows if row is not None), default=0)
    rows = [[None] * width if row is None else row for row in rows]
    if any(len(row) != width for row in rows):
        raise MetaplasticError(
            f"{name!r} is recorded for different numbers of seeds: the records are damaged, "
            "restore them from a copy"
        )
    return np.asarray(rows, np.float64).reshape(len(rows), width)


def _nonempty(angles: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """Without what is undefined at every epoch."""
    known = {
        kind: {name: own for name, own in layers.items() if np.isfinite(own).any()}
        for kind, layers in angles.items()
    }
    return {kind: layers for kind, layers in known.items() if layers}
