"""The table of meta-trained learners: what each reached, how sure that is, and what it cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaplastic.report._learner_series import PARTS
from metaplastic.report._table import NONE, Table

Row = Mapping[str, Any]
_GRADIENT = ("gradient error", "cosine", "ms each", "MB")
_RECORDED = (
    "label",
    "learner",
    "rule",
    "task",
    "estimator",
    "best_rate",
    "test",
    "gradient",
    "diverged",
)


def learner_table(rows: Sequence[Row], *, title: str | None = None) -> Table:
    """Learners with their test on held-out lifetimes: the best first, those that diverged last.

    A row is one of `metaplastic.train.meta_entrant.meta_compete`, or holds at least `label` and
    `test` {metric, higher_is_better, mean, std, n, interval, before} (None where it diverged);
    `best_rate`, `seconds`, `lifetimes_per_second`, `skipped`, `diverged` and `status` are shown
    where any row has them. Accuracies and bit errors are in percent.
    """
    rows = sorted(rows, key=_worse)
    metrics = {str(row["test"]["metric"]) for row in rows if row.get("test")}
    cells: dict[str, list[str]] = {"learner": [str(row["label"]) for row in rows]}
    if any(row.get("best_rate") is not None for row in rows):
        cells["best rate"] = [_rate(row) for row in rows]
    if len(metrics) > 1:
        cells["metric"] = [_metric(row) for row in rows]
    cells |= {
        "test": [_mean_and_std(row) for row in rows],
        "95 % interval": [_interval(row) for row in rows],
        "seeds": [_of_test(row, "n") for row in rows],
        "before": [_number(row, "before") for row in rows],
        "gradient error": [_of_gradient(row, "relative_error") for row in rows],
        "cosine": [_of_gradient(row, "cosine") for row in rows],
        "ms each": [_of_gradient(row, "milliseconds") for row in rows],
        "MB": [_of_gradient(row, "megabytes") for row in rows],
        "seconds": [_quantity(row.get("seconds"), 1) for row in rows],
        "lifetimes/s": [_quantity(row.get("lifetimes_per_second"), 0) for row in rows],
        "status": [_status(row) for row in rows],
    }
    for name in ("before", *_GRADIENT, "seconds", "lifetimes/s", "status"):
        if not any(own not in ("", NONE) for own in cells[name]):
            del cells[name]
    left = ("learner", "metric", "status")
    return Table(
        _title(rows, metrics) if title is None else title,
        tuple(cells),
        tuple(zip(*cells.values(), strict=True)),
        tuple({name: row[name] for name in _RECORDED if name in row} for row in rows),
        _notes(rows),
        frozenset(i for i, name in enumerate(cells) if name not in left),
    )


def _title(rows: Sequence[Row], metrics: set[str]) -> str:
    if len(metrics) != 1:
        return "Test"
    row = next(row for row in rows if row.get("test"))
    better = row["test"].get("higher_is_better")
    words = "" if better is None else f" ({'higher' if better else 'lower'} is better)"
    return f"Test {_metric(row)}{words}"


def _notes(rows: Sequence[Row]) -> tuple[str, ...]:
    notes = []
    if any(_at_edge(row) for row in rows):
        notes.append("* at the edge of the grid: a better rate may lie beyond it")
    if any((row.get("gradient") or {}).get("relative_error") is not None for row in rows):
        notes.append(
            "gradient error: of the first meta-gradient, against the exact one of its lifetimes"
        )
    for row in rows:
        if isinstance(row.get("diverged"), str):
            notes.append(f"{row['label']}: {row['diverged']}")
    return tuple(notes)


def _worse(row: Row) -> tuple[bool, float]:
    """Sorts the best first and what has no number last."""
    test = row.get("test") or {}
    mean = test.get("mean")
    if mean is None:
        return True, 0.0
    return False, float(-mean if test.get("higher_is_better") else mean)


def _metric(row: Row) -> str:
    metric = str((row.get("test") or {}).get("metric", NONE))
    return f"{metric}, %" if metric in PARTS else metric


def _shown(row: Row, value: float | int | None) -> str:
    """A value of the row's metric: parts in percent, others to four digits."""
    if value is None:
        return NONE
    return f"{100 * value:.2f}" if row["test"]["metric"] in PARTS else f"{value:.4g}"


def _number(row: Row, name: str) -> str:
    return _shown(row, row["test"].get(name)) if row.get("test") else NONE


def _mean_and_std(row: Row) -> str:
    test = row.get("test") or {}
    several = test.get("n", 1) > 1 and test.get("std") is not None
    return _number(row, "mean") + (f" ± {_number(row, 'std')}" if several else "")


def _interval(row: Row) -> str:
    low, high = (row.get("test") or {}).get("interval") or (None, None)
    return NONE if low is None or high is None else f"{_shown(row, low)} to {_shown(row, high)}"


def _of_test(row: Row, name: str) -> str:
    return str((row.get("test") or {}).get(name, NONE))


def _of_gradient(row: Row, name: str) -> str:
    """Of the first meta-gradient, where it was compared with the exact one."""
    value = (row.get("gradient") or {}).get(name)
    return NONE if value is None else f"{value:.3g}"


def _rate(row: Row) -> str:
    rate = row.get("best_rate")
    return NONE if rate is None else f"{rate:g}" + ("*" if _at_edge(row) else "")


def _at_edge(row: Row) -> bool:
    rates = sorted(cell["rate"] for cell in row.get("grid") or ())
    return len(rates) > 1 and row.get("best_rate") in (rates[0], rates[-1])


def _quantity(value: float | int | None, digits: int) -> str:
    return NONE if value is None else f"{value:,.{digits}f}"


def _status(row: Row) -> str:
    skipped = sum(row.get("skipped") or ())
    if row.get("diverged"):
        return "diverged"
    steps = "meta-step" if skipped == 1 else "meta-steps"
    return f"{skipped:,} {steps} skipped" if skipped else str(row.get("status") or "")
