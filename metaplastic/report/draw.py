"""Draws whatever figures a finished run supports into its folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metaplastic.report import _learner_runs, _style
from metaplastic.report.figures import draw_comparison, draw_run
from metaplastic.report.records import RunFolder


def draw(folder: RunFolder) -> list[Path]:
    """The figures of a run of any command, as PNG and SVG; the files written.

    A reproduction gets one folder of figures an experiment. Raises `MissingExtraError` without
    matplotlib.
    """
    command, result = folder.read_config().get("command"), folder.read_result() or {}
    if command == "train":
        return draw_run(folder)
    if command == "meta":
        return _style.write(_learner_runs.run_figures(folder), folder.figures)
    if command == "compare":
        rows, learners = result.get("rules", []), result.get("learners", [])
        if learners:
            return _draw_learners(folder, learners, [], folder.figures)
        return draw_comparison(rows, folder.figures, classes=rows[0]["classes"]) if rows else []
    drawn: list[Path] = []
    for name in dict.fromkeys(row["experiment"] for row in result.get("comparison", [])):
        rows = [row for row in result["comparison"] if row["experiment"] == name]
        drawn += draw_comparison(rows, folder.figures / name, classes=rows[0]["classes"])
    for name, (rows, reproduced) in _learner_runs.by_experiment(result).items():
        drawn += _draw_learners(folder, rows, reproduced, folder.figures / name)
    for (name, experiment), figure in _learner_runs.studies_figures(result).items():
        drawn += _style.write({name: figure}, folder.figures / experiment)
    return drawn


def _draw_learners(
    folder: RunFolder, rows: Sequence[Any], reproduced: Sequence[Any], out: Path
) -> list[Path]:
    figures = _learner_runs.rows_figures(folder.path, rows, reproduced)
    named = {
        f"{name}-{_learner_runs.file_name(label)}" if label else name: figure
        for (name, label), figure in figures.items()
    }
    return _style.write(named, out)
