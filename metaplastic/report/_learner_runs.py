"""Which figures the record of a meta-training run supports."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metaplastic.report import learner_figures
from metaplastic.report._learner_series import LearnerSeries, from_meta_run
from metaplastic.report.change_figures import change_figures, shared_change_figures
from metaplastic.report.lifetime_figures import lifetime_figures
from metaplastic.report.map_figures import map_figures
from metaplastic.report.portrait import Portrait, read_portrait
from metaplastic.report.records import RunFolder
from metaplastic.report.settling_figures import strength_figures, wall_time_figures
from metaplastic.report.trajectory_figures import trajectory_figures

Row = Mapping[str, Any]
_MOST_PORTRAITS = 6
"""Learners of a comparison whose lifetimes are drawn."""


def run_figures(folder: RunFolder) -> dict[str, Any]:
    """The figures of a run of `metaplastic meta`, by name; none where nothing is recorded yet."""
    label = design_name(folder.read_config().get("design") or {})
    series = series_of(folder.read_metrics(), folder.read_result(), label)
    figures: dict[str, Any] = {}
    if series is not None:
        figures["meta_learning_curves"] = learner_figures.meta_learning_curves([series])
    figures |= trajectory_figures(folder.read_metrics())
    portrait = read_portrait(folder.path)
    return figures | portrait_figures(portrait) | shared_change_figures([(label, portrait)])


def portrait_figures(portrait: Portrait) -> dict[str, Any]:
    """The figures of one learner alone, by name."""
    figures = lifetime_figures(portrait) | map_figures(portrait) | strength_figures(portrait)
    return figures | change_figures(portrait)


def series_of(records: Sequence[Row], result: Row | None, label: str) -> LearnerSeries | None:
    """The curves of a run; None where there is no meta-step on record."""
    if not any("meta_loss" in record for record in records):
        return None
    test = (result or {}).get("test") or {}
    metric, better = str(test.get("metric", "metric")), test.get("higher_is_better")
    return from_meta_run(records, label, metric, higher_is_better=better)


def design_name(design: Mapping[str, Any]) -> str:
    """`online pepita on sinusoid` of a design's record."""
    names = {part: (design.get(part) or {}).get("name") for part in ("learner", "rule", "task")}
    own = " ".join(str(names[part]) for part in ("learner", "rule") if names[part])
    return f"{own} on {names['task']}" if names["task"] else own


def by_experiment(result: Row) -> dict[str, tuple[list[Row], list[Row]]]:
    """Of a reproduction: its learners and the rows of its table, by experiment."""
    found: dict[str, tuple[list[Row], list[Row]]] = {}
    for row in result.get("learners") or ():
        found.setdefault(str(row.get("experiment", "")), ([], []))[0].append(row)
    for row in result.get("rows") or ():
        if str(row["experiment"]) in found:
            found[str(row["experiment"])][1].append(row)
    return found


def studies_figures(result: Row) -> dict[tuple[str, str], Any]:
    """The figures of a reproduction's studies, by name and experiment."""
    found: dict[tuple[str, str], list[Row]] = {}
    for entry in filter(lambda own: own["figure"], result.get("studies") or ()):
        found.setdefault((str(entry["experiment"]), str(entry["figure"])), []).append(entry)
    return {
        (name, experiment): figure
        for (experiment, kind), entries in found.items()
        for name, figure in _study(kind).figures(entries).items()
    }


def _study(kind: str) -> Any:
    """The module that draws studies of a kind."""
    return importlib.import_module(f"{__package__}.studies.{kind}")


def rows_figures(
    run: Path, rows: Sequence[Row], reproduced: Sequence[Row] = ()
) -> dict[tuple[str, str], Any]:
    """The figures of the learners of a comparison or of a reproduction's experiment.

    By name and by the learner that they are of, which is empty for those of all. `reproduced`: the
    experiment's rows in the reproduction's table.
    """
    shared = learner_figures.comparison_figures(rows, reproduced) | wall_time_figures(rows)
    portraits = _portraits(run, rows)
    shared |= shared_change_figures(portraits)
    figures = {(name, ""): figure for name, figure in shared.items()}
    if len(portraits) > _MOST_PORTRAITS:
        return figures
    for label, own in portraits:
        figures |= {(name, label): figure for name, figure in portrait_figures(own).items()}
    return figures


def _portraits(run: Path, rows: Sequence[Row]) -> list[tuple[str, Portrait]]:
    """Labels and portraits of the learners that have one."""
    found = []
    for row in rows:
        experiment = row.get("experiment")
        name = f"{experiment}-{row['label']}" if experiment else str(row["label"])
        portrait = read_portrait(run / "parts" / file_name(name) / "parts" / "final")
        if portrait:
            found.append((str(row["label"]), portrait))
    return found


def file_name(label: str) -> str:
    """A label with what file names cannot hold replaced, as parts of a run are named."""
    return "".join(c if c.isalnum() or c in "._-=," else "_" for c in label)
