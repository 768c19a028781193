"""Figures of learners that settle: strengths, and what was reached in which time.

All functions take plain rows of records and arrays of portraits.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._style import COLUMN, styled

Row = Mapping[str, Any]
Arrays = Mapping[str, np.ndarray]


# Strengths


def strength_figures(portrait: Mapping[str, Arrays]) -> dict[str, Any]:
    """The strengths of a portrait, if it has any."""
    own = portrait.get("strengths") or {}
    return {"strengths": strengths(own)} if own else {}


@styled
def strengths(quantiles: Arrays) -> Any:
    """Strengths of each array of synapses: middle half as a box, 5 to 95 % as a line.

    `quantiles`: by path, lambda of 1/2 lambda (phi - omega)^2 at evenly spaced ranks, [101].
    """
    from matplotlib.ticker import NullLocator

    names = list(quantiles)
    figure, (axes,) = _style.new_figure(COLUMN + 1.2, 0.9 + 0.26 * len(names))
    values = np.stack([np.asarray(quantiles[name], np.float64) for name in names])
    positive = values[values > 0]
    if positive.size and positive.max() > 10 * positive.min():
        floor = max(positive.min() / 3, positive.max() * 1e-6)
        values = np.maximum(values, floor)
        axes.set_xscale("log")
        _axes.plain_decades(axes.xaxis)
        axes.xaxis.set_minor_locator(NullLocator())
    looks = _axes.layer_looks(len(names))
    for y, (own, look) in enumerate(zip(values, looks, strict=True)):
        low, first, middle, third, high = own[[5, 25, 50, 75, 95]]
        axes.plot([low, high], [y, y], color=look.colour, linewidth=1.0)
        axes.plot([first, third], [y, y], color=look.colour, linewidth=6, solid_capstyle="butt")
        axes.plot(middle, y, "o", color="white", markeredgecolor=look.colour, markersize=4)
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("strength lambda")
    _axes.horizontal(axes)
    _style.figure_heading(
        figure,
        "Strengths of synapses after meta-training",
        "layers from the input down; box: middle half; line: 5 % to 95 %; ring: median",
    )
    return figure


def _short(path: str) -> str:
    """`nodes.2.weight` -> `layer node 2, weight`."""
    parts = [part for part in path.split(".") if part]
    return f"{' '.join(parts[:-1])}, {parts[-1]}" if len(parts) > 1 else path


# Wall time


def wall_time_figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Meta-learning over wall time, where several learners recorded it."""
    own = [row for row in rows if len((row.get("curve") or {}).get("seconds") or ()) > 2]
    return {"meta_learning_time": wall_time(own)} if len(own) > 1 else {}


@styled
def wall_time(rows: Sequence[Row]) -> Any:
    """Metric of meta-training against seconds, all seeds together, compilation included."""
    figure, (axes,) = _style.new_figure(5.6, 3.1)
    labels = [str(row["label"]) for row in rows]
    ends, every = [], []
    for row, label, look in zip(rows, labels, _looks.looks(labels), strict=True):
        curve = row["curve"]
        seconds = np.asarray(curve["seconds"], np.float64)
        low, middle, high = np.quantile(
            np.asarray(curve["meta_metric"], np.float64), [0.25, 0.5, 0.75], axis=1
        )
        axes.plot(seconds, middle, color=look.colour, linestyle=look.dashes)
        axes.fill_between(seconds, low, high, color=look.colour, alpha=0.14, linewidth=0)
        ends.append((_axes.last(middle), label, look))
        every.append(middle)
    values = np.concatenate(every)
    values = values[np.isfinite(values)]
    metric = str((rows[0].get("test") or {}).get("metric", "metric"))
    if metric in ("accuracy", "bit error"):
        _axes.percent(axes.yaxis)
    elif values.size and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
        _few_decades(axes.yaxis, values)
    axes.set_xscale("log")
    _few_decades(axes.xaxis, np.concatenate([row["curve"]["seconds"] for row in rows]))
    axes.set_xlabel("seconds, compilation included")
    title = metric[:1].upper() + metric[1:]
    cut = _axes.cut_spikes(axes, every)
    _style.heading(axes, f"{title} over wall time", f"of meta-training; median over seeds{cut}")
    _style.label_lines(axes, ends)
    return figure


def _few_decades(axis: Any, values: np.ndarray) -> None:
    """Plain numbers on a logarithmic axis, closer where there are few decades."""
    from matplotlib.ticker import LogLocator

    _axes.plain_decades(axis)
    if values.max() < 1000 * values.min():
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
