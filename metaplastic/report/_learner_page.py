"""The parts of a page that are about meta-trained learners: tables, terms, figures."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from metaplastic._json import dumps
from metaplastic.report import _learner_runs, learner_figures
from metaplastic.report._learner_series import finals
from metaplastic.report._page_figures import page_figure
from metaplastic.report._runs import Run
from metaplastic.report._table import Table
from metaplastic.report.change_figures import shared_change_figures
from metaplastic.report.learner_tables import learner_table
from metaplastic.report.portrait import read_portrait
from metaplastic.report.studies.transfer import transfer_table

Row = Mapping[str, Any]


def groups(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Runs of `meta` that may be compared with each other, with their table and figures."""
    kinds: dict[str, list[Run]] = {}
    for run in runs:
        kinds.setdefault(dumps(_terms(run)), []).append(run)
    return [
        {
            "terms": _terms(own[0]),
            "table": learner_table([_row(run) for run in own]),
            "figures": _figures(own, i),
        }
        for i, own in enumerate(kinds.values())
    ]


def tables_of(result: Row) -> list[Table]:
    """The tables of a comparison's or a reproduction's learners, one an experiment; that of the
    variants of a run of `transfer`."""
    tables = [
        _titled(learner_table(rows), name)
        for name, (rows, _) in _learner_runs.by_experiment(result).items()
    ]
    return [*tables, transfer_table(result)] if result.get("variants") else tables


def figures_of(run: Run) -> dict[tuple[str, str], Any]:
    """The figures of the learners of a comparison or a reproduction, by name and of what."""
    drawn = {
        (name, ", ".join(filter(None, (experiment, label)))): figure
        for experiment, (rows, reproduced) in _learner_runs.by_experiment(run.result or {}).items()
        for (name, label), figure in _learner_runs.rows_figures(run.path, rows, reproduced).items()
    }
    return drawn | _learner_runs.studies_figures(run.result or {})


def _titled(table: Table, name: str) -> Table:
    return dataclasses.replace(table, title=f"{name}: {table.title}") if name else table


def _terms(run: Run) -> dict[str, Any]:
    """What must be equal for numbers to be compared."""
    task = run.design.get("task") or {}
    terms = {"task": task.get("name", "?"), **(task.get("fields") or {})}
    terms |= {"sha256 of the data": str(run.data["sha256"])[:16]} if "sha256" in run.data else {}
    return terms | {name.replace("_", " "): value for name, value in run.protocol.items()}


def _row(run: Run) -> dict[str, Any]:
    return {"test": None, **(run.result or {}), "label": run.label, "status": run.status}


def _figures(runs: Sequence[Run], number: int) -> list[dict[str, Any]]:
    """Shared figures of several runs, then those of each."""
    drawn: list[tuple[str, str, Any]] = []
    rows = [_row(run) for run in runs]
    series = [_learner_runs.series_of(run.records, run.result, run.label) for run in runs]
    known = [own for own in series if own is not None]
    if len(runs) > 1 and len(finals(rows)) > 1:
        drawn.append(("learners", "", learner_figures.final_tests(finals(rows))))
    if known:
        curves = learner_figures.meta_learning_curves(known)
        drawn.append(("meta_learning_curves", "", curves))
    portraits = [(run.label, read_portrait(run.path)) for run in runs]
    drawn += [(name, "", figure) for name, figure in shared_change_figures(portraits).items()]
    for label, portrait in portraits:
        for name, figure in _learner_runs.portrait_figures(portrait).items():
            drawn.append((name, label if len(runs) > 1 else "", figure))
    return [
        page_figure(figure, f"m{number}-{i}", name, label)
        for i, (name, label, figure) in enumerate(drawn)
    ]
