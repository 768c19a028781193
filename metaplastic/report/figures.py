"""Figures of runs: learning curves, alignment, slowness, learning rates, final accuracies.

`draw_run` and `draw_comparison` write PNG and SVG files; the functions that draw one figure return
a `matplotlib.figure.Figure`. Lines are means over seeds, bands one standard deviation.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metaplastic.analysis.curves import slowness
from metaplastic.report import _axes, _looks, _style
from metaplastic.report._looks import INK, MUTED
from metaplastic.report._series import Series, from_metrics, from_row
from metaplastic.report._style import COLUMN, styled
from metaplastic.report.records import RunFolder

Row = Mapping[str, Any]
Angle = Literal["update_angle", "delta_angle", "weight_angle"]
_ANGLE_TITLES = {
    "update_angle": (
        "Angle of the update to backpropagation's",
        "of weights, over batches; below 90° it descends",
    ),
    "delta_angle": (
        "Angle of deltas to backpropagation's",
        "of deltas, mean over examples; 90° is unrelated",
    ),
    "weight_angle": ("Angle between forward and feedback weights", "90° is unrelated"),
}


def draw_run(folder: RunFolder) -> list[Path]:
    """Draw a run of `metaplastic train` into its `figures/`; the files written.

    Empty where nothing is recorded yet. Raises `MissingExtraError` without matplotlib.
    """
    config = folder.read_config()
    rule = str(config.get("rule", {}).get("name", config.get("command", "run")))
    return _style.write(run_figures(from_metrics(folder.read_metrics(), rule)), folder.figures)


def draw_comparison(
    rows: Sequence[Row], out: Path, *, control: Row | None = None, classes: int | None = None
) -> list[Path]:
    """Draw several rules into the folder `out`; the files written.

    `rows` are the `rules` of a comparison's result; `control` and `classes` as in
    `comparison_figures`. Raises `MissingExtraError` without matplotlib.
    """
    return _style.write(comparison_figures(rows, control=control, classes=classes), Path(out))


def run_figures(series: Series) -> dict[str, Any]:
    """The figures that one run supports, by name."""
    figures = {}
    if series.has("test_accuracy") or series.has("loss"):
        figures["learning_curves"] = learning_curves([series])
    for kind in series.angles:
        figures[f"{kind}s"] = angles(series, kind)  # pyright: ignore[reportArgumentType]
    return figures


def comparison_figures(
    rows: Sequence[Row], *, control: Row | None = None, classes: int | None = None
) -> dict[str, Any]:
    """The figures that the rows of a comparison support, by name.

    `control` is the row of the frozen-hidden control, where it is not among `rows`; `classes`,
    the number of classes, is needed for the slowness.
    """
    figures = {}
    if any(mean_of(row) is not None for row in rows):
        figures["accuracy"] = final_accuracies(rows, control=control)
    series = [own for row in rows if (own := from_row(row)) is not None]
    if series:
        figures["learning_curves"] = learning_curves(series)
    if series and classes:
        fits = slowness_rows(series, classes)
        if fits:
            figures["slowness"] = slowness_bars(fits)
    if any(len(row.get("grid") or ()) > 1 for row in rows):
        figures["learning_rates"] = learning_rates(rows)
    return figures


@styled
def learning_curves(series: Sequence[Series]) -> Any:
    """Accuracy and loss over epochs: training and test of one run, or several rules together."""
    return _axes.one_run(series[0]) if len(series) == 1 else _axes.several_runs(series)


@styled
def angles(series: Series, kind: Angle) -> Any:
    """Angles over epochs, a line for each layer, and the right angle between them."""
    layers = series.angles[kind]
    figure, (axes,) = _style.new_figure(COLUMN, 2.5)
    title, note = _ANGLE_TITLES[kind]
    _style.heading(axes, title, note)
    looks = _axes.layer_looks(len(layers))
    shown = _axes.some(len(layers), 8)
    ends, highest, lowest = [], 100.0, 0.0
    for i, ((name, values), look) in enumerate(zip(layers.items(), looks, strict=True)):
        mean = _axes.band(axes, series.epochs, values, look)
        highest = max(highest, float(np.nanmax(mean, initial=highest)) + 5)
        lowest = min(lowest, float(np.nanmin(mean, initial=lowest)))
        if i in shown:
            ends.append((_axes.last(mean), name, look))
    axes.set_yticks(range(0, 181, 30))
    axes.set_ylim(lowest - 2, min(highest, 180))
    axes.axhline(90, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    axes.yaxis.set_major_formatter("{x:g}°")
    _style.epoch_axis(axes)
    _style.label_lines(axes, ends)
    return figure


def slowness_rows(series: Sequence[Series], classes: int) -> list[dict[str, Any]]:
    """`{"label", "rule", "mean", "std", "best", "meaningful"}` of each rule that learned.

    Seeds are fitted one by one, up to the first step of their learning rate; one that diverged is
    left out.
    """
    rows = []
    for own in series:
        test = own.values.get("test_accuracy", np.empty((len(own.epochs), 0)))[own.epochs > 0]
        kept = [seed for seed in test.T if seed.size and np.isfinite(seed).all()]
        until = {} if own.first_decay is None else {"epochs": max(int(own.first_decay), 1)}
        fits = [slowness(seed, classes, **until) for seed in kept]
        if fits:
            values = np.asarray([fit.slowness for fit in fits])
            rows.append(
                {
                    "label": own.label,
                    "rule": own.rule,
                    "mean": float(values.mean()),
                    "std": float(values.std()),
                    "best": float(np.mean([fit.best for fit in fits])),
                    "meaningful": all(fit.meaningful for fit in fits),
                }
            )
    return rows


@styled
def slowness_bars(rows: Sequence[Row]) -> Any:
    """How slowly each rule learns: epochs to half of its best accuracy, the fastest on top."""
    rows = sorted(rows, key=lambda row: -row["mean"])
    figure, (axes,) = _style.new_figure(COLUMN, 0.95 + 0.22 * len(rows))
    note = "epochs to half of the best, fitted; hollow: not monotone"
    _style.figure_heading(figure, "Slowness", note)
    for y, (row, look) in enumerate(
        zip(rows, _looks.looks([r["rule"] for r in rows]), strict=True)
    ):
        sure = row["meaningful"]
        axes.barh(
            y,
            row["mean"],
            height=0.62,
            xerr=row["std"] or None,
            color=look.colour if sure else "none",
            edgecolor=look.colour,
            linewidth=1,
            error_kw={"elinewidth": 0.8, "ecolor": INK},
        )
        axes.annotate(
            f"{row['mean']:.2f}",
            (row["mean"] + row["std"], y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    axes.set_xlim(0, 1.25 * max((row["mean"] + row["std"] for row in rows), default=1) or 1)
    axes.set_xlabel("epochs")
    _axes.horizontal(axes)
    return figure


@styled
def learning_rates(rows: Sequence[Row]) -> Any:
    """Accuracy against learning rate for each rule: the best marked, diverged rates as crosses."""
    rows = [row for row in rows if row.get("grid")]
    figure, (axes,) = _style.new_figure(5.2, 2.9)
    note = "dot: the rate chosen on the validation set; cross: diverged"
    _style.heading(axes, "Test accuracy against learning rate", note)
    ends, crosses = [], []
    for row, look in zip(rows, _looks.looks([_axes.rule_of(r) for r in rows]), strict=True):
        end, diverged = _axes.rate_line(axes, row, look)
        ends.append((end, _axes.label_of(row), look))
        crosses += [(diverged, look)] if diverged else []
    _axes.rate_axes(axes, [cell["lr"] for row in rows for cell in row["grid"]])
    bottom = axes.get_ylim()[0]
    for rates, look in crosses:
        axes.plot(rates, [bottom] * len(rates), "x", color=look.colour, markersize=5, clip_on=False)
    axes.set_ylim(bottom=bottom)
    _style.label_lines(axes, ends)
    return figure


@styled
def final_accuracies(rows: Sequence[Row], *, control: Row | None = None) -> Any:
    """Final accuracy of each rule, seeds as rings, between the control and backpropagation."""
    rows = [row for row in rows if mean_of(row) is not None]
    rows = sorted(rows, key=lambda row: mean_of(row) or 0.0)
    figure, (axes,) = _style.new_figure(COLUMN, 0.85 + 0.22 * len(rows))
    note = "dot: mean; bar: one standard deviation; rings: seeds"
    _style.figure_heading(figure, "Test accuracy", note)
    for y, (row, look) in enumerate(
        zip(rows, _looks.looks([_axes.rule_of(r) for r in rows]), strict=True)
    ):
        _axes.dot(axes, row["test_accuracy"], y, look)
    _axes.ends_of_the_scale(axes, rows, control)
    axes.set_yticks(range(len(rows)), [_axes.label_of(row) for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    _axes.percent(axes.xaxis)
    _axes.horizontal(axes)
    return figure


def mean_of(row: Row) -> float | None:
    """Mean test accuracy of a row; None where there is none."""
    return (row.get("test_accuracy") or {}).get("mean")
