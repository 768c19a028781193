"""Curves and final numbers of meta-trained learners, read from records: what figures show."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report._series import _table

Row = Mapping[str, Any]
PARTS = ("accuracy", "bit error")
"""Metrics between 0 and 1, which are shown in percent."""


@dataclasses.dataclass(frozen=True)
class LearnerSeries:
    """What one learner's meta-training recorded."""

    label: str
    metric: str
    higher_is_better: bool | None
    steps: np.ndarray
    """Meta-steps at the ends of the records, [records]."""
    values: dict[str, np.ndarray]
    """`meta_loss` and `meta_metric`, [records, seeds]."""
    test_steps: np.ndarray
    """Meta-steps of the tests, [tests]."""
    tests: dict[str, np.ndarray]
    """`test_loss` and `test_metric` on held-out lifetimes, [tests, seeds or 1]."""

    @property
    def seeds(self) -> int:
        return next((own.shape[1] for own in self.values.values()), 0)

    @property
    def loss_is_metric(self) -> bool:
        """Do loss and metric say the same?"""
        loss, metric = self.values.get("meta_loss"), self.values.get("meta_metric")
        if loss is None or metric is None or loss.shape != metric.shape:
            return False
        return bool(np.allclose(loss, metric, equal_nan=True))


def from_meta_run(
    records: Sequence[Row], label: str, metric: str, *, higher_is_better: bool | None = None
) -> LearnerSeries:
    """The series of a run of `metaplastic meta`, from its `metrics.jsonl`.

    Raises `MetaplasticError` where records hold different numbers of seeds.
    """
    trained = [own for own in records if "meta_loss" in own]
    tested = [own for own in records if "test_metric" in own]
    return LearnerSeries(
        label,
        metric,
        higher_is_better,
        _steps(trained),
        {name: _table([r[name] for r in trained], name) for name in ("meta_loss", "meta_metric")},
        _steps(tested),
        {name: _table([r[name] for r in tested], name) for name in ("test_loss", "test_metric")},
    )


def from_learner_row(row: Row) -> LearnerSeries | None:
    """The series of one learner of a comparison; None where it has no curve."""
    curve, test = row.get("curve") or {}, row.get("test") or {}
    if not curve.get("step"):
        return None
    values = {name: _table(curve[name], name) for name in ("meta_loss", "meta_metric")}
    steps = np.asarray(curve["step"], np.int64)
    ends = {0: [test.get("before")], int(steps[-1]): [test.get("mean")]}
    ends = {step: value for step, value in ends.items() if value[0] is not None}
    return LearnerSeries(
        str(row["label"]),
        str(test.get("metric", "metric")),
        test.get("higher_is_better"),
        steps,
        values,
        np.asarray(list(ends), np.int64),
        {"test_metric": _table(list(ends.values()), "test_metric")},
    )


@dataclasses.dataclass(frozen=True)
class Final:
    """A learner's final number, in the unit in which it is shown."""

    label: str
    metric: str
    """With its unit: `accuracy, %`."""
    higher_is_better: bool | None
    values: np.ndarray
    """[seeds]."""
    paper: float | int | None = None
    paper_std: float | int | None = None

    @property
    def mean(self) -> float:
        return float(self.values.mean())


def finals(rows: Sequence[Row], reproduced: Sequence[Row] = ()) -> list[Final]:
    """The final numbers of learners; those that diverged are left out.

    `reproduced` are rows of a reproduction, of the same experiment, whose metric and paper's number
    are then shown; a number quoted from memory is not.
    """
    beside = {str(row["setting"]): row for row in reproduced}
    found = []
    for row in rows:
        test, own = row.get("test"), beside.get(str(row["label"]))
        if test is None:
            continue
        measure = row.get("measure")
        values = np.asarray(test["per_seed"] if measure is None else measure, np.float64)
        metric, better = str(test["metric"]), test.get("higher_is_better")
        if own is not None:
            better = better if measure is None else _direction(str(own["metric"]))
            metric = str(own["metric"])
        elif metric in PARTS:
            metric += ", %"
        values = values * (100 if metric.endswith("%") else 1)
        paper = (own or {}).get("paper") or {}
        if paper.get("provenance") == "memory":
            paper = {}
        number, std = paper.get("value"), paper.get("std")
        if np.isfinite(values).all():
            found.append(Final(str(row["label"]), metric, better, values, number, std))
    return found


def _direction(metric: str) -> bool | None:
    words = metric.lower()
    if any(word in words for word in ("error", "loss")):
        return False
    return True if "accuracy" in words else None


def _steps(records: Sequence[Row]) -> np.ndarray:
    return np.asarray([record["step"] for record in records], np.int64)
