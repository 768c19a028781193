"""One self-contained page of runs: results, protocol, figures, configuration, how to run it again.

The page loads nothing: figures are inline SVG, styles are in the page, and there are no scripts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metaplastic._errors import UsageError, require_extra
from metaplastic._files import write_atomic
from metaplastic._json import dumps
from metaplastic.report import _learner_page, _looks, figures, tables
from metaplastic.report._page_figures import inline_svg as inline_svg, page_figure
from metaplastic.report._runs import Run, distinguish

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(runs: Sequence[Path | str], out: Path | None = None) -> Path:
    """Write the page of the run folders `runs`, and return its path.

    `out` is `report.html` in the run's folder by default, or here, for several runs. Raises
    `UsageError` where a folder holds no run, `MissingExtraError` without the extra `plot`.
    """
    if not runs:
        raise UsageError("no run given: metaplastic report RUN…")
    if out is None:
        out = Path(runs[0]) / "report.html" if len(runs) == 1 else Path("report.html")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name a file, as {out / 'report.html'}")
    write_atomic(out, page([Run.read(Path(path)) for path in dict.fromkeys(map(str, runs))]))
    return out


def page(runs: Sequence[Run]) -> str:
    """The page as text."""
    require_extra("jinja2", "plot")
    require_extra("matplotlib", "plot")
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = _plain
    distinguish(runs)
    groups = _groups([run for run in runs if run.command == "train"])
    learners = _learner_page.groups([run for run in runs if run.command == "meta"])
    alone = ("train", "meta")
    return environment.get_template("report.html.j2").render(
        title=_title(runs),
        kinds=[
            {"groups": groups, "why": _why_apart(groups)},
            {"groups": learners, "why": _why_apart(learners)},
        ],
        others=[_other(run, i) for i, run in enumerate(runs) if run.command not in alone],
        runs=runs,
        none=tables.NONE,
        ink=_looks.INK,
    )


def _title(runs: Sequence[Run]) -> str:
    if len(runs) > 1:
        return f"{len(runs)} runs"
    run = runs[0]
    data = run.data.get("name")
    title = f"{run.command} {run.name}" if run.command != "compare" else run.name
    return f"{title} on {data}" if data else title


# Runs of `train`: one table for each protocol


def _groups(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Runs that may be compared with each other, with their table and figures."""
    kinds: dict[str, list[Run]] = {}
    for run in runs:
        kinds.setdefault(dumps(_terms(run)), []).append(run)
    return [
        {
            "terms": _terms(own[0]),
            "table": tables.accuracy_table(rows := _rows(own)),
            "figures": _train_figures(own, rows, i),
        }
        for i, own in enumerate(kinds.values())
    ]


def _terms(run: Run) -> dict[str, Any]:
    """What must be equal for accuracies to be compared."""
    data = {name: run.data[name] for name in ("name", "sha256") if name in run.data}
    terms = {"data": data.get("name", "?"), "sha256 of the data": str(data.get("sha256", "?"))[:16]}
    return terms | {name.replace("_", " "): value for name, value in run.protocol.items()}


def _why_apart(groups: Sequence[Mapping[str, Any]]) -> str:
    """The sentence that says why there are several tables."""
    if len(groups) < 2:
        return ""
    names = dict.fromkeys(name for group in groups for name in group["terms"])
    differing = [
        name for name in names if len({_plain(group["terms"].get(name)) for group in groups}) > 1
    ]
    return (
        f"The results of these {len(groups)} tables must not be compared with each other: "
        f"the runs differ in their evaluation ({', '.join(differing)})."
    )


def _rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Rows of the runs and of their controls; a control that several share is there once."""
    rows, controls = [], {}
    for run in runs:
        result, lr = run.result or {}, run.options.get("lr")
        own = {"label": run.label, "rule": run.name, "lr": lr, "status": run.status}
        rows.append({**own, "test_accuracy": result.get("test_accuracy"), "diverged": run.diverged})
        control = result.get("control")
        if control:
            shared = controls.setdefault(dumps([control, lr]), {"lr": lr, **control, "of": []})
            shared["of"].append(run.label)
    for control in controls.values():
        alone = len(controls) == 1
        whose = "" if alone else f" of {', '.join(control['of'])}"
        rows.append({**control, "label": f"{control['rule']} (control{whose})"})
    return rows


def _train_figures(
    runs: Sequence[Run], rows: Sequence[Mapping[str, Any]], number: int
) -> list[dict[str, Any]]:
    """Shared figures of several runs, then those of each."""
    drawn: dict[str, tuple[str, Any]] = {}
    series = [run.series for run in runs if run.records]
    if len(series) > 1:
        if sum(figures.mean_of(row) is not None for row in rows) > 1:
            drawn["accuracy"] = ("", figures.final_accuracies(rows))
        drawn["learning_curves"] = ("", figures.learning_curves(series))
    if series:
        classes = runs[0].data.get("classes")
        fits = figures.slowness_rows(series, int(classes)) if classes else []
        if len(fits) > 1:
            drawn["slowness"] = ("", figures.slowness_bars(fits))
    for i, own in enumerate(series):
        for name, figure in figures.run_figures(own).items():
            if name != "learning_curves" or len(series) == 1:
                drawn[f"{name}-{i}"] = (own.label if len(series) > 1 else "", figure)
    return [
        page_figure(figure, f"g{number}-{name}", name.partition("-")[0], label)
        for name, (label, figure) in drawn.items()
    ]


# Comparisons and reproductions


def _other(run: Run, number: int) -> dict[str, Any]:
    """A section of its own for a run of `compare` or `reproduce`."""
    result = run.result or {}
    shown, drawn = [], {}
    if result.get("rules"):
        shown.append(tables.accuracy_table(result["rules"]))
        if any(len(row.get("grid") or ()) > 1 for row in result["rules"]):
            shown.append(tables.robustness_table(result["rules"]))
        classes = run.data.get("classes")
        drawn |= _comparison(result["rules"], result.get("control"), classes, "")
    if result.get("rows"):
        scale = f"scale {result.get('scale', '?')}"
        shown.append(tables.reproduction_table(result["rows"], title=scale))
    for name, rows in _by_experiment(result.get("comparison") or ()).items():
        drawn |= _comparison(rows, None, rows[0].get("classes"), name)
    shown += _learner_page.tables_of(result)
    drawn |= _learner_page.figures_of(run)
    return {
        "run": run,
        "tables": shown,
        "protocols": run.protocol or result.get("protocols") or result.get("protocol") or {},
        "figures": [
            page_figure(figure, f"r{number}-{i}", name, experiment)
            for i, ((name, experiment), figure) in enumerate(drawn.items())
        ],
    }


def _comparison(rows: Any, control: Any, classes: Any, experiment: str) -> dict[Any, Any]:
    drawn = figures.comparison_figures(rows, control=control, classes=classes)
    return {(name, experiment): figure for name, figure in drawn.items()}


def _by_experiment(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row.get("experiment", "")), []).append(row)
    return found


# Values


def _plain(value: Any) -> str:
    """A value of a record for people."""
    if value is None:
        return tables.NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(own)}" for name, own in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
