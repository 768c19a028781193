"""A meta-trained learner under changed designs: a table, one row a variant, and curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _style
from metaplastic.report._learner_series import PARTS
from metaplastic.report._looks import INK, MUTED, Look
from metaplastic.report._style import styled
from metaplastic.report._table import NONE, Table

Row = Mapping[str, Any]
_TRAINED, _UNTRAINED = Look("#0072B2", "solid"), Look(MUTED, (0, (4, 1.5)))


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """For each entry: every variant, and the metric over the moments of a lifetime."""
    drawn: dict[str, Any] = {}
    for i, own in enumerate(entries):
        suffix = f"-{i + 1}" if len(entries) > 1 else ""
        drawn[f"transfer{suffix}"] = transfer_dots(own)
        if any(row.get("curve") for row in own["data"]["variants"]):
            drawn[f"transfer_over_moments{suffix}"] = transfer_curves(own)
    return drawn


def transfer_table(result: Row) -> Table:
    """Variants in their order with the metric of the trained and of the untrained learner.

    `result` is that of `metaplastic transfer`, or holds at least `metric`, `higher_is_better` and
    `variants`. Accuracies and bit errors are in percent.
    """
    rows, metric = result["variants"], str(result["metric"])
    done = [row for row in rows if not row.get("refused")]
    cells = [
        (
            str(row["variant"]),
            _cell(row["trained"], metric),
            _interval(row["trained"], metric),
            _cell(row["untrained"], metric),
        )
        for row in done
    ]
    notes = [
        f"{row['variant']}: {100 * row[who]['not_finite']:.3g} % of the lifetimes of the {who} "
        "learner end in a loss that is no number"
        for row in done
        for who in ("trained", "untrained")
        if row[who]["not_finite"]
    ]
    notes += [f"{row['variant']}: {row['refused']}" for row in rows if row.get("refused")]
    better = "higher" if result["higher_is_better"] else "lower"
    unit = ", %" if metric in PARTS else ""
    return Table(
        f"Test {metric}{unit} ({better} is better)",
        ("variant", "trained", "95 % interval", "untrained"),
        tuple(cells),
        tuple(dict(row) for row in rows),
        tuple(notes),
        frozenset({1, 2, 3}),
    )


@styled
def transfer_dots(entry: Row) -> Any:
    """Mean over seeds of every variant, with its interval over lifetimes; each seed a thin mark."""
    data = entry["data"]
    rows = [row for row in data["variants"] if not row.get("refused")]
    figure, (axes,) = _style.new_figure(5.2, 0.9 + 0.24 * len(rows))
    for who, look, size in (("untrained", _UNTRAINED, 4), ("trained", _TRAINED, 5)):
        for place, row in enumerate(rows):
            own = row[who]
            if own["mean"] is None:
                continue
            low, high = own["interval"]
            if low is not None:
                axes.plot([low, high], [place, place], color=look.colour, linewidth=1.2)
            seeds = [value for value in own["per_seed"] if value is not None]
            axes.plot(seeds, [place] * len(seeds), "|", color=look.colour, markersize=6)
            filled = look.colour if who == "trained" else "white"
            axes.plot(
                own["mean"], place, "o", color=look.colour, markerfacecolor=filled, markersize=size
            )
        axes.plot([], [], "o", color=look.colour, label=who, markersize=size,
                  markerfacecolor=look.colour if who == "trained" else "white")  # fmt: skip
    axes.set_yticks(range(len(rows)), [str(row["variant"]) for row in rows])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=_style.GRID, linewidth=0.6)
    if data["metric"] in PARTS:
        _axes.percent(axes.xaxis)
    axes.set_xlabel(f"test {data['metric']}")
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    _style.figure_heading(
        figure,
        f"{entry['label']}: what was learned under other designs",
        "dot: mean over seeds; bar: 95 % interval over lifetimes; marks: seeds",
    )
    return figure


@styled
def transfer_curves(entry: Row) -> Any:
    """The metric of the questions after each moment, a panel for each length of lifetimes.

    Line: mean over seeds; band: one standard deviation; the vertical line ends a lifetime of
    meta-training.
    """
    data = entry["data"]
    rows = [row for row in data["variants"] if row.get("curve")]
    trained = next((row for row in rows if not row["changes"]), None)
    horizon = None if trained is None else len(trained["curve"]["trained"][0]) - 1
    figure, axes = _style.grid(len(rows), 3, 2.2, 1.9)
    for place, row in zip(axes, rows, strict=False):
        for who, look in (("untrained", _UNTRAINED), ("trained", _TRAINED)):
            values = np.asarray(row["curve"][who], np.float64).T
            _axes.band(place, np.arange(len(values)), values, look)
        if horizon is not None and row is not trained:
            place.axvline(horizon, color=INK, linewidth=0.6, linestyle=(0, (1, 1.2)))
        place.set_title(str(row["variant"]), loc="left", fontweight="bold")
        place.set_xlabel("moments")
        if data["metric"] in PARTS:
            _axes.percent(place.yaxis)
    limits = np.array([place.get_ylim() for place in axes])
    for place in axes:
        place.set_ylim(limits.min(), limits.max())
    for who, look in (("trained", _TRAINED), ("untrained", _UNTRAINED)):
        axes[0].plot([], [], color=look.colour, linestyle=look.dashes, label=who)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False
    )
    _style.figure_heading(
        figure,
        f"Test {data['metric']} after each moment of a lifetime",
        "line: mean over seeds; band: one standard deviation; dotted: the trained horizon",
    )
    return figure


def _cell(own: Row, metric: str) -> str:
    if own["mean"] is None or not np.isfinite(own["mean"]):
        return NONE
    mean = _value(own["mean"], metric)
    return mean if own["n"] < 2 else f"{mean} ± {_value(own['std'], metric)}"


def _interval(own: Row, metric: str) -> str:
    low, high = own["interval"]
    if low is None or not np.isfinite(low):
        return NONE
    return f"{_value(low, metric)} to {_value(high, metric)}"


def _value(value: float, metric: str) -> str:
    return f"{100 * value:.1f}" if metric in PARTS else f"{value:.4g}"
