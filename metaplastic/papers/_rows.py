"""The rows of a reproduction: what each kind of arm comes to, and what a row stands beside."""

import dataclasses
import time
from typing import Any

import numpy as np

from .. import _registry, data
from .._errors import DataError, DivergedError
from .._json import plain
from ..report.records import RunFolder
from ..train.entrant import Entrant, compete, part
from ..train.fit import Reporter, Silent
from ..train.meta_entrant import MetaEntrant, meta_compete
from .base import AnyArm, Arm, Experiment, MetaArm, Scale, StudyArm

_NOT_RUN = "not run: "


def why_nothing_ran(rows: list[dict[str, Any]]) -> str | None:
    """Why no arm has a number: its data is not there; None where one ran."""
    reasons = [str(row["verdict"]) for row in rows]
    if not reasons or not all(reason.startswith(_NOT_RUN) for reason in reasons):
        return None
    return reasons[0].removeprefix(_NOT_RUN)


def name_subjects(rows: list[dict[str, Any]], subject: str) -> None:
    """Say in each row of an experiment which setting it is compared with (`subject`).

    That is the row of the subject's with the same metric and addition ("radius 0.5"), or else the
    subject's without any; the subject's own rows are compared with none.
    """
    known = {(row["setting"], row["metric"]) for row in rows}
    for row in rows:
        parts = row["setting"].split(", ")
        names = [", ".join([subject, *parts[first:]]) for first in range(1, len(parts))]
        others = (name for name in (*names, subject) if name != row["setting"])
        found = next((name for name in others if (name, row["metric"]) in known), None)
        if found is not None:
            row["subject"] = found


def run_arm(
    experiment: Experiment,
    arm: AnyArm,
    scale: Scale,
    seeds: tuple[int, ...],
    folder: RunFolder,
    reporter: Reporter | None,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """`(rows of the table, entry of the figures)`."""
    row: dict[str, Any] = {
        "experiment": experiment.name,
        "setting": arm.setting,
        "metric": getattr(arm, "metric", None) or experiment.metric,
        "ours": None,
        "paper": None if arm.reported is None else dataclasses.asdict(arm.reported),
        "verdict": None,
    }
    own = part(folder, f"{experiment.name}-{arm.setting}")
    try:
        if isinstance(arm, StudyArm):
            return _run_study_arm(arm, row, seeds, own, reporter)
        if isinstance(arm, MetaArm):
            return _run_meta_arm(experiment, arm, row, seeds, own, reporter)
        epochs = experiment.grid_epochs[scale]
        row, entry = _run_rule_arm(arm, row, seeds, epochs, own, reporter)
        return [row], entry
    except DataError as error:
        return [{**row, "verdict": f"{_NOT_RUN}{error}"}], None


def _run_study_arm(
    arm: StudyArm,
    row: dict[str, Any],
    seeds: tuple[int, ...],
    folder: RunFolder,
    reporter: Reporter | None,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    entry = folder.read_result()
    if entry is None:
        began = time.monotonic()
        try:
            found = arm.study(seeds, folder, reporter or Silent())
        except DivergedError as error:
            return [{**row, "verdict": f"diverged: {error}"}], None
        entry = {
            "label": arm.setting,
            "figure": arm.figure,
            "numbers": {name: np.asarray(own).tolist() for name, own in found.rows.items()},
            "metrics": {name: found.metrics.get(name, row["metric"]) for name in found.rows},
            "data": plain(dict(found.data)),
            "seconds": round(time.monotonic() - began, 3),
        }
        folder.write_result(entry)
    rows = []
    for name, values in entry["numbers"].items():
        setting = ", ".join(filter(None, (arm.setting, name)))
        metric = entry["metrics"][name]
        better = arm.higher_is_better if metric == row["metric"] else "accuracy" in metric
        found = {"setting": setting, "metric": metric, "higher_is_better": better}
        own = np.asarray(values, np.float64)
        if np.isfinite(own).all():
            rows.append({**row, **found, "ours": _ours(own, metric)})
        else:
            rows.append({**row, **found, "verdict": "diverged"})
    return rows, entry


def _run_rule_arm(
    arm: Arm,
    row: dict[str, Any],
    seeds: tuple[int, ...],
    grid_epochs: int | None,
    folder: RunFolder,
    reporter: Reporter | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    entrant = Entrant(
        label=arm.setting,
        rule=_registry.load("rules", arm.rule)(**arm.fields),
        options=arm.options,
        rates=arm.rates,
        seeds=seeds,
        grid_epochs=grid_epochs,
    )
    entry = compete(entrant, data.load(arm.options.data), folder, reporter)
    if entry["test_accuracy"]["mean"] is None:
        return {**row, "verdict": "diverged"}, entry
    values = np.asarray(entry["test_accuracy"]["per_seed"], np.float64)
    wrong = "error" in row["metric"]
    row["ours"] = _ours(1 - values if wrong else values, row["metric"])
    return _judged(row, higher_is_better=not wrong), entry


def _run_meta_arm(
    experiment: Experiment,
    arm: MetaArm,
    row: dict[str, Any],
    seeds: tuple[int, ...],
    folder: RunFolder,
    reporter: Reporter | None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    entrant = MetaEntrant(
        label=arm.setting,
        design=arm.design,
        options=arm.options,
        seeds=seeds,
        rates=arm.rates,
        measure=arm.measure,
    )
    entry = meta_compete(entrant, folder, reporter)
    if entry["test"] is None:
        return [{**row, "verdict": "diverged"}], entry
    if experiment.timed:
        row["seconds"] = _meta_seconds(entry)
    tested, better = entry["test"]["per_seed"], entry["test"]["higher_is_better"]
    values = tested if entry["measure"] is None else entry["measure"]
    if not np.isfinite(np.asarray(values, np.float64)).all():  # one lifetime of the test is enough
        return [{**row, "verdict": "diverged"}], entry
    row["ours"] = _ours(np.asarray(values, np.float64), row["metric"])
    higher = better if arm.higher_is_better is None else arm.higher_is_better
    rows = [_judged(row, higher_is_better=higher)]
    if arm.both and entry["measure"] is not None:
        own = {**row, "metric": experiment.metric}
        own["ours"] = _ours(np.asarray(tested, np.float64), experiment.metric)
        rows.append(_judged(own, higher_is_better=better))
    return rows, entry


def _meta_seconds(entry: dict[str, Any]) -> float | None:
    """Of meta-training all seeds, compilation and tests left out; None for a single chunk."""
    speed, lifetimes = entry["lifetimes_per_second"], entry.get("lifetimes")
    alone = len(entry["curve"]["step"]) < 2
    return None if alone or not speed or not lifetimes else round(lifetimes / speed, 1)


def _ours(values: np.ndarray, metric: str) -> dict[str, Any]:
    """Mean, population standard deviation and number of the seeds' values."""
    scaled = values * (100 if metric.endswith("%") else 1)
    return {"mean": float(scaled.mean()), "std": float(scaled.std()), "n": len(scaled)}


def _judged(row: dict[str, Any], *, higher_is_better: bool) -> dict[str, Any]:
    from ..report.tables import verdict

    own = verdict(row["ours"], row["paper"], higher_is_better=higher_is_better)
    return {**row, "verdict": own, "higher_is_better": higher_is_better}
