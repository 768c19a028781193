"""Lines of learners over the tasks of a lifetime, or over its moments: means and their errors."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._learner_series import PARTS
from metaplastic.report._looks import MUTED, Look
from metaplastic.report._style import COLUMN

JUST = "just learned"
"""The label of what was reached just after each task, drawn as a pale line."""
_MOST_TOGETHER = 3
"""Learners whose bands can be told apart on the same axes."""
_LOG_ABOVE = 20.0
"""Ratio of means from which their axis is logarithmic."""
_PALE = "#c9c9c9"


def over_tasks(found: Sequence[tuple[str, np.ndarray]], metric: str, below: str, title: str) -> Any:
    """Lines over tasks, [lifetimes, tasks] each: together where they are few, else a panel each."""
    looks = _looks.looks([own for own, _ in found])
    if found[0][0] == JUST:
        looks = [Look(MUTED, (0, (4, 1.5))), looks[0]]
    if len(found) > _MOST_TOGETHER:
        return _panels(found, looks, metric, below, title)
    several = len(found) > 1
    figure, (axes,) = _style.new_figure(
        5.2 if several and found[0][0] != JUST else COLUMN + 0.6, 2.5
    )
    _style.heading(axes, title, _spread(found[0][1]))
    ends = []
    for (label, values), look in zip(found, looks, strict=True):
        mean = mean_line(axes, values, look, metric)
        ends.append((_axes.last(mean), label, look))
    _task_axes(axes, found, metric)
    whole_axis(axes, below)
    if several:
        _style.label_lines(axes, ends)
    return figure


def _panels(
    found: Sequence[tuple[str, np.ndarray]],
    looks: Sequence[Look],
    metric: str,
    below: str,
    title: str,
) -> Any:
    """A panel a learner, the others' means pale behind its own; the scale is the same."""
    figure, axes = _style.grid(len(found), 4, 1.75, 1.4)
    for place, (label, values), look in zip(axes, found, looks, strict=True):
        for _, other in found:
            if other is not values:
                place.plot(_tasks(other), _mean(other), color=_PALE, linewidth=0.7, zorder=1.5)
        mean_line(place, values, Look(look.colour, "solid"), metric)
        place.set_title(textwrap.fill(label, 27), fontsize=7.5, color=look.colour, loc="left")
        _task_axes(place, found, metric)
        whole_axis(place, "")
    for place in axes[-4:]:
        place.set_xlabel(below)
    note = f"{_spread(found[0][1])}; pale: the other learners"
    _style.figure_heading(figure, title, note)
    return figure


def _task_axes(axes: Any, found: Sequence[tuple[str, np.ndarray]], metric: str) -> None:
    """Shares of all from 0 to 1; anything else from 0, or logarithmic where it spans decades."""
    means = np.concatenate([_mean(own) for _, own in found])
    if metric in PARTS:
        _axes.percent(axes.yaxis)
        axes.set_ylim(-0.02, 1.02)
    elif means.min() > 0 and means.max() / means.min() > _LOG_ABOVE:
        axes.set_yscale("log")
        axes.set_ylim(0.7 * means.min(), 1.5 * means.max())
        _axes.plain_decades(axes.yaxis)
    else:
        axes.set_ylim(bottom=0)


def mean_line(axes: Any, values: np.ndarray, look: Look, metric: str = "") -> np.ndarray:
    """Draw the mean over lifetimes with the band of its standard error, and return it.

    NaN: a lifetime that has no such value.
    """
    mean = _mean(values)
    error = np.nanstd(values, 0) / np.sqrt(np.isfinite(values).sum(0))
    marker = "o" if values.shape[1] <= 12 else None
    at, most = _tasks(values), 1.0 if metric in PARTS else np.inf
    axes.plot(at, mean, color=look.colour, linestyle=look.dashes, marker=marker, markersize=3)
    low, high = np.maximum(mean - error, 0), np.minimum(mean + error, most)
    axes.fill_between(at, low, high, color=look.colour, alpha=0.2, linewidth=0)
    return mean


def _mean(values: np.ndarray) -> np.ndarray:
    return np.nanmean(np.asarray(values, np.float64), 0)


def _tasks(values: np.ndarray) -> np.ndarray:
    return np.arange(1, values.shape[1] + 1)


def _spread(values: np.ndarray) -> str:
    count = len(values)
    return "one lifetime" if count == 1 else f"mean of {count} lifetimes; band: its standard error"


def whole_axis(axes: Any, label: str) -> None:
    """Whole numbers below the axes."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, steps=[1, 2, 5, 10]))
    axes.margins(x=0.02)
