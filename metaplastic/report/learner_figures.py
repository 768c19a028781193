"""Figures of meta-trained learners: how they learn to learn, what they reach, at which rates.

Lines are medians over seeds, bands reach from the lower to the upper quartile.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._learner_series import (
    PARTS,
    Final,
    LearnerSeries,
    finals,
    from_learner_row,
)
from metaplastic.report._looks import INK, MUTED, Look
from metaplastic.report._style import COLUMN, styled
from metaplastic.report.gradient_figures import gradient_rows, meta_gradients

Row = Mapping[str, Any]
_LOG_ABOVE = 10.0
"""Ratio of values from which their axis is logarithmic."""


def comparison_figures(rows: Sequence[Row], reproduced: Sequence[Row] = ()) -> dict[str, Any]:
    """The figures that several learners support, by name.

    `rows` are the `learners` of a comparison's or a reproduction's result, `reproduced` the rows
    of the reproduction's table.
    """
    figures: dict[str, Any] = {}
    own = finals(rows, reproduced)
    if own:
        figures["learners"] = final_tests(own)
    series = [own for row in rows if (own := from_learner_row(row)) is not None]
    series = [own for own in series if len(own.steps) > 2]  # one meta-step is no curve
    if series:
        figures["meta_learning_curves"] = meta_learning_curves(series)
    if any(len(row.get("grid") or ()) > 1 for row in rows):
        figures["learner_rates"] = learner_rates(rows)
    if len(gradient_rows(rows)) > 1:
        figures["meta_gradients"] = meta_gradients(rows)
    return figures


@styled
def meta_learning_curves(series: Sequence[LearnerSeries]) -> Any:
    """Metric and loss over meta-steps, a line for each learner; circles are tests.

    A panel for the loss is left out where it is the metric.
    """
    kinds = ["metric"] if all(own.loss_is_metric for own in series) else ["metric", "loss"]
    several = len(series) > 1
    names = ["\n".join(textwrap.wrap(own.label, 40)) if several else "" for own in series]
    points = 9.5 * (1 + max(name.count("\n") for name in names))
    height = max(1.9, len(names) * points / 72)
    width = 5.6 if several else COLUMN
    figure, axes = _style.new_figure(width, 0.6 + height * len(kinds), len(kinds))
    looks = _looks.looks([own.label for own in series])
    for place, kind in zip(axes, kinds, strict=True):
        first, lines, ends = place is axes[0], [], []
        title = _sentence(_common(own.metric for own in series)) if kind == "metric" else "Loss"
        for own, name, look in zip(series, names, looks, strict=True):
            middle = _quartiles(place, own.steps, own.values[f"meta_{kind}"], look)
            tests = _tests(place, own, f"test_{kind}", look)
            lines += [middle, tests]
            ends.append((_axes.last(middle), name, look))
        part = kind == "metric" and all(own.metric in PARTS for own in series)
        _scale(place.yaxis, np.concatenate(lines), part)
        note = (_note(series) if first else "") + _axes.cut_spikes(place, lines)
        _style.heading(place, title, note.removeprefix("; "))
        if several:
            _style.label_lines(place, ends, points=points)
    _axes.meta_steps(axes[-1])
    return figure


@styled
def final_tests(rows: Sequence[Final]) -> Any:
    """The final test of each learner, seeds as rings, the paper's number as a diamond.

    A panel for each metric; the best learner on top.
    """
    panels: dict[str, list[Final]] = {}
    for row in rows:
        panels.setdefault(row.metric, []).append(row)
    figure, axes = _panels([len(own) for own in panels.values()])
    looks = dict(zip((r.label for r in rows), _looks.looks([r.label for r in rows]), strict=True))
    for place, (metric, own) in zip(axes, panels.items(), strict=True):
        better = own[0].higher_is_better
        own = sorted(own, key=lambda row: row.mean, reverse=better is False)
        for y, row in enumerate(own):
            _axes.dot(place, _summary(row), y, looks[row.label])
            if row.paper is not None:
                _diamond(place, row, y)
        place.set_yticks(range(len(own)), ["\n".join(textwrap.wrap(r.label, 30)) for r in own])
        place.set_ylim(-0.6, len(own) - 0.4)
        place.set_xlabel("\n".join(textwrap.wrap(f"{metric}{_better(better)}", 38)))
        values = np.concatenate([[r.mean, r.paper or r.mean, *r.values] for r in own])
        _scale(place.xaxis, values, part=False, zero=False)
        place.margins(x=0.08)
        _axes.horizontal(place)
    note = "dot: mean; bar: one standard deviation; rings: seeds"
    if any(row.paper is not None for row in rows):
        note += "; diamond: the paper"
    _style.figure_heading(figure, "Test on held-out lifetimes", note)
    return figure


@styled
def learner_rates(rows: Sequence[Row]) -> Any:
    """What each learner reached at each rate of its grid: the chosen one marked."""
    rows = [row for row in rows if len(row.get("grid") or ()) > 1]
    figure, (axes,) = _style.new_figure(5.2, 2.9)
    metric = _common((row.get("test") or {}).get("metric", "metric") for row in rows)
    note = "over the last tenth of meta-training; dot: the rate chosen; cross: diverged"
    _style.heading(axes, f"{_sentence(metric)} against learning rate", note)
    ends, crosses, values = [], [], []
    for row, look in zip(rows, _looks.looks([str(r["label"]) for r in rows]), strict=True):
        grid = sorted(row["grid"], key=lambda cell: cell["rate"])
        rates = np.asarray([cell["rate"] for cell in grid], np.float64)
        reached = np.asarray([cell.get("metric") for cell in grid], np.float64)
        axes.plot(
            *(rates, reached, "o"), ls=look.dashes, color=look.colour, markersize=2.5, zorder=3
        )
        best = rates == row.get("best_rate")
        axes.plot(rates[best], reached[best], "o", color=look.colour, markersize=5.5, zorder=4)
        ends.append((_axes.last(reached), str(row["label"]), look))
        crosses.append((rates[~np.isfinite(reached)], look))
        values.append(reached)
    every = [cell["rate"] for row in rows for cell in row["grid"]]
    _axes.rate_axes(axes, every)
    _scale(axes.yaxis, np.concatenate(values), part=metric in PARTS)
    whose = _common(str(row.get("rate_of", "")) for row in rows)
    axes.set_xlabel(f"learning rate of {whose}" if whose.startswith("the") else "learning rate")
    bottom = axes.get_ylim()[0]
    for rates, look in crosses:
        axes.plot(rates, [bottom] * len(rates), "x", color=look.colour, markersize=5, clip_on=False)
    axes.set_ylim(bottom=bottom)
    _style.label_lines(axes, ends)
    return figure


# Pieces


def _quartiles(axes: Any, steps: np.ndarray, values: np.ndarray, look: Look) -> np.ndarray:
    """Draw the median [records] with its band, and return it."""
    low, middle, high = _quantiles(values)
    marker = "o" if len(steps) == 1 else None
    axes.plot(steps, middle, color=look.colour, linestyle=look.dashes, marker=marker, markersize=3)
    if values.shape[1] > 1:
        axes.fill_between(steps, low, high, color=look.colour, alpha=0.16, linewidth=0)
    return middle


def _tests(axes: Any, own: LearnerSeries, name: str, look: Look) -> np.ndarray:
    """Draw the tests as circles, and return their medians."""
    if name not in own.tests or not own.test_steps.size:
        return np.empty(0)
    low, middle, high = _quantiles(own.tests[name])
    axes.errorbar(
        own.test_steps,
        middle,
        yerr=np.stack([middle - low, high - middle]) if own.tests[name].shape[1] > 1 else None,
        fmt="o",
        color=look.colour,
        markerfacecolor="white",
        markersize=4,
        elinewidth=1,
        zorder=4,
        clip_on=False,
    )
    return middle


def _quantiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower quartile, median and upper quartile over seeds; NaN where any seed has none."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
    return low, middle, high


def _note(series: Sequence[LearnerSeries]) -> str:
    seeds = {own.seeds for own in series}
    count = "1 seed" if seeds == {1} else f"median and quartiles of {_listed(seeds)} seeds"
    tested = "; circles: test" if any(own.test_steps.size for own in series) else ""
    directions = {own.higher_is_better for own in series}
    return count + tested + (_better(directions.pop(), "; ") if len(directions) == 1 else "")


def _listed(numbers: set[int]) -> str:
    return " or ".join(str(own) for own in sorted(numbers))


def _better(higher: bool | None, before: str = " (", after: str = "") -> str:
    """`(lower is better)`, or nothing where that is not known."""
    if higher is None:
        return ""
    after = ")" if before == " (" else after
    return f"{before}{'higher' if higher else 'lower'} is better{after}"


def _common(names: Any) -> str:
    """The one name that all have, or `metric`."""
    found = set(names)
    return found.pop() if len(found) == 1 else "metric"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _summary(row: Final) -> dict[str, Any]:
    std = float(row.values.std()) if len(row.values) > 1 else None
    return {"mean": row.mean, "std": std, "per_seed": row.values.tolist()}


def _diamond(axes: Any, row: Final, y: int) -> None:
    axes.errorbar(
        row.paper,
        y + 0.22,
        xerr=row.paper_std or None,
        fmt="D",
        color=INK,
        ecolor=MUTED,
        markersize=3.5,
        elinewidth=1,
        zorder=5,
    )


def _panels(rows: Sequence[int]) -> tuple[Any, list[Any]]:
    """A figure with a panel for each number of rows, as high as they need."""
    from matplotlib.figure import Figure

    heights = [0.5 + 0.3 * count for count in rows]
    figure = Figure(figsize=(COLUMN + 0.4, 0.4 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for own in axes:
        own.tick_params(length=2.5, width=0.7)
    return figure, list(axes)


def _scale(axis: Any, values: np.ndarray, part: bool, *, zero: bool = True) -> None:
    """Logarithmic where values span decades; percentages for parts."""
    from matplotlib.ticker import LogLocator

    axes, values = axis.axes, values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() / values.min() > _LOG_ABOVE and not part:
        (axes.set_yscale if axis is axes.yaxis else axes.set_xscale)("log")
        _axes.plain_decades(axis)
        if values.max() / values.min() < 1000:  # too few decades to be read from them alone
            axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
        return
    if part:
        _axes.percent(axis)
    elif zero and values.size and 0 <= values.min() < values.max() / 2:
        axes.set_ylim(bottom=0)
