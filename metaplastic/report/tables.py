"""The tables of a report: accuracies, robustness, numbers beside a paper's, properties."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from metaplastic.report._beside import beside, heading
from metaplastic.report._property_table import (
    PROPERTY_COLUMNS as PROPERTY_COLUMNS,
    properties_of as properties_of,
    property_table as property_table,
)
from metaplastic.report._table import NONE as NONE, Table as Table, digits

Row = Mapping[str, Any]

_NUMBERS = ("ours", "seconds", "paper", "difference")


def accuracy_table(rows: Sequence[Row], *, title: str = "Test accuracy, %") -> Table:
    """Rules with their final accuracies: the best first, runs that diverged last.

    A row holds `rule` (or `label`) and `test_accuracy` {mean, std, per_seed} in 0 to 1; `best_lr`,
    `lr`, `best_at_edge`, `diverged` and `status` are shown where any row has them.
    """
    rows = sorted(rows, key=_mean, reverse=True)
    with_rate = any(_rate(row) is not None for row in rows)
    with_status = any(_status(row) for row in rows)
    columns = ["rule", *(["learning rate"] if with_rate else []), "mean", "std", "seeds"]
    columns += ["status"] if with_status else []
    cells = []
    for row in rows:
        accuracy = row.get("test_accuracy") or {}
        own = [str(row.get("label") or row["rule"])]
        own += [_rate_cell(row)] if with_rate else []
        own += [percent(accuracy.get("mean")), percent(accuracy.get("std"))]
        own += [str(len(accuracy.get("per_seed") or ())) if accuracy else NONE]
        cells.append(tuple(own + ([_status(row)] if with_status else [])))
    edge = any(row.get("best_at_edge") for row in rows)
    notes = ("* at the edge of the grid: a better rate may lie beyond it",) if edge else ()
    records = tuple(
        {k: row[k] for k in ("label", "rule", "best_lr", "lr", "test_accuracy") if k in row}
        for row in rows
    )
    numbers = frozenset(i for i, c in enumerate(columns) if c not in ("rule", "status"))
    return Table(title, tuple(columns), tuple(cells), records, notes, numbers)


def robustness_table(rows: Sequence[Row]) -> Table:
    """How much each rule depends on its learning rate, from the grids of a comparison.

    Columns: the rate of the best test accuracy on the grid, that accuracy, and the decades of
    rates within two points of it (see `metaplastic.analysis.robustness`).
    """
    from metaplastic.analysis.robustness import robustness

    columns = ("rule", "best rate", "accuracy, %", "decades within 2 points", "rates that diverged")
    cells, records = [], []
    for row in rows:
        grid = sorted(row.get("grid") or (), key=lambda cell: cell["lr"])
        if len(grid) < 2:
            continue
        means = [[None if cell.get("diverged") else cell.get("mean")] for cell in grid]
        own = robustness([cell["lr"] for cell in grid], means)
        width = NONE if own.best_rate is None else f"{own.width_decades:.2f}"
        cells.append(
            (
                str(row.get("label") or row["rule"]),
                NONE if own.best_rate is None else f"{own.best_rate:.3g}",
                percent(own.best_accuracy),
                width if own.bounded or width == NONE else f"≥ {width}",
                f"{round(own.diverged * len(grid))} of {len(grid)}",
            )
        )
        records.append({"rule": row["rule"], **dataclasses.asdict(own)})
    right = frozenset(range(1, len(columns)))
    title = "Robustness to the learning rate"
    return Table(title, columns, tuple(cells), tuple(records), (), right)


def reproduction_table(rows: Sequence[Row], *, title: str = "Ours beside the paper's") -> Table:
    """Our numbers beside a paper's, in percent, with their difference and the verdict.

    A row holds `experiment`, `setting`, `metric`, `ours` {mean, std, n} or None, `paper` {value,
    std, source, provenance} or None, and `verdict`, which is worked out where it is left out. A
    number quoted from memory is shown as such and never has a verdict. `seconds`, of meta-training,
    and how a row stands beside its `subject`, another setting of its experiment, are shown where
    any row has them.
    """
    verdicts = [_checked_verdict(row) for row in rows]
    records = tuple({**row, "verdict": own} for row, own in zip(rows, verdicts, strict=True))
    notes = [
        f"{row['experiment']}, {row['setting']}: {own}"
        for row, own in zip(rows, verdicts, strict=True)
        if own and own.startswith("not run:")
    ]
    if any((row.get("paper") or {}).get("provenance") == "memory" for row in rows):
        notes.append("(memory): quoted from memory, never part of a verdict")
    columns = {
        "experiment": [str(row["experiment"]) for row in rows],
        "setting": [str(row["setting"]) for row in rows],
        "metric": [str(row["metric"]) for row in rows],
        "ours": [_plus_minus(row.get("ours"), "mean") for row in rows],
        heading(rows): beside(rows),
        "seconds": [_seconds(row) for row in rows],
        "paper": [_paper_cell(row.get("paper")) for row in rows],
        "difference": [_difference(row.get("ours"), row.get("paper")) for row in rows],
        "verdict": [(own or NONE).partition(":")[0] for own in verdicts],
    }
    title = _drop_needless(columns, rows, title)
    cells = tuple(zip(*columns.values(), strict=True))
    right = frozenset(i for i, c in enumerate(columns) if c in _NUMBERS)
    return Table(title, tuple(columns), cells, records, tuple(dict.fromkeys(notes)), right)


def verdict(ours: Row | None, paper: Row | None, *, higher_is_better: bool = True) -> str | None:
    """`reproduced`: within max(3 of the paper's standard deviations, 0.5 point) of its value.

    Else `above` (better) or `below` (worse). Numbers are percentages. None where there is nothing
    to compare, and for a number that its provenance says is quoted from memory.
    """
    if ours is None or ours.get("mean") is None or paper is None or not _counts(paper):
        return None
    difference = ours["mean"] - paper["value"]
    if abs(difference) <= max(3 * (paper.get("std") or 0.0), 0.5) + 1e-9:
        return "reproduced"
    return "above" if (difference > 0) == higher_is_better else "below"


def print_comparison(result: Row) -> None:
    """Print the result of `metaplastic compare`."""
    accuracy_table(result["rules"], title=f"Test accuracy on {result['data']}, %").print()


def print_reproduction(result: Row) -> None:
    """Print the result of `metaplastic reproduce`."""
    title = f"{result.get('title') or result['paper']}, scale {result['scale']}"
    reproduction_table(result["rows"], title=title).print()


def percent(value: float | None) -> str:
    """`0.8944` -> `89.44`."""
    return NONE if value is None else f"{100 * value:.2f}"


def _counts(paper: Row | None) -> bool:
    """May the paper's number enter a verdict?"""
    return bool(paper) and paper.get("provenance") in ("source", "secondary")


def _checked_verdict(row: Row) -> str | None:
    """The row's verdict, or the one that follows where it has none; never from memory."""
    ours, paper = row.get("ours"), row.get("paper")
    if ours is not None and not _counts(paper):
        return None
    if "verdict" in row:
        return row["verdict"]
    higher = not any(word in str(row["metric"]).lower() for word in ("error", "loss"))
    return verdict(ours, paper, higher_is_better=higher)


def _drop_needless(columns: dict[str, list[str]], rows: Sequence[Row], title: str) -> str:
    """Take out columns that say nothing; what they said of all rows goes into the title."""
    if not any(row.get("subject") for row in rows):
        del columns[heading(rows)]
    if not any(row.get("seconds") for row in rows):
        del columns["seconds"]
    if not any(row.get("paper") for row in rows):
        del columns["paper"], columns["difference"]
        if set(columns["verdict"]) <= {NONE}:
            del columns["verdict"]
    for name in ("metric", "experiment"):
        if len(set(columns[name])) == 1:
            title = f"{title} · {columns.pop(name)[0]}"
    return title


def _paper_cell(paper: Row | None) -> str:
    return _plus_minus(paper, "value") + (" (memory)" if paper and not _counts(paper) else "")


def _seconds(row: Row) -> str:
    return f"{row['seconds']:.0f}" if row.get("seconds") else NONE


def _difference(ours: Row | None, paper: Row | None) -> str:
    return f"{ours['mean'] - paper['value']:+.2f}" if ours and paper else NONE


def _plus_minus(number: Row | None, name: str) -> str:
    if not number or number.get(name) is None:
        return NONE
    std = number.get("std")
    several = number.get("n", 2) > 1
    form = digits(number[name])
    spread = f" ± {std:{form}}" if std is not None and several else ""
    return f"{number[name]:{form}}{spread}"


def _mean(row: Row) -> float:
    mean = (row.get("test_accuracy") or {}).get("mean")
    return -1.0 if mean is None else mean


def _rate(row: Row) -> float | None:
    return row.get("best_lr", row.get("lr"))


def _rate_cell(row: Row) -> str:
    rate = _rate(row)
    return NONE if rate is None else f"{rate:g}" + ("*" if row.get("best_at_edge") else "")


def _status(row: Row) -> str:
    diverged = row.get("diverged")
    if isinstance(diverged, Mapping) and diverged:
        seeds = "seed" if len(diverged) == 1 else "seeds"
        return f"diverged ({seeds} {', '.join(map(str, diverged))})"
    return "diverged" if diverged else str(row.get("status") or "")
