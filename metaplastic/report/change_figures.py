"""Figures of what the changes within lifetimes do: what is kept, what is undone, which way they go.

All functions take plain arrays, as `metaplastic.analysis.lifetimes` measures them, with an axis of
lifetimes in front. Lines are means over lifetimes, bands one standard deviation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _maps, _style
from metaplastic.report._learner_series import PARTS
from metaplastic.report._looks import MUTED, Look
from metaplastic.report._series import mean_and_std
from metaplastic.report._style import COLUMN, styled

Arrays = Mapping[str, np.ndarray]
Noun = tuple[str, str]
_TASKS = ("task", "tasks")
_JUST = "just learned"


def change_figures(portraits: Sequence[tuple[str, Mapping[str, Arrays]]]) -> dict[str, Any]:
    """The figures that portraits of learners support, by name; `(label, portrait)` each.

    Curves of several learners on one task are drawn together, matrices of the first alone.
    """
    figures: dict[str, Any] = {}
    continual = [(label, own) for label, own in portraits if own.get("interference")]
    if continual:
        about = continual[0][1].get("about") or {}
        metric = str(about.get("metric", "metric"))
        what = ("class", "classes") if str(about.get("loss")) == "cross_entropy" else _TASKS
        kept = [(label, own["interference"]["retention"]) for label, own in continual]
        figures["tasks_seen"] = tasks_seen(kept, metric, what=what)
        figures["retention"] = retention(kept, metric, what=what)
        if len(continual) == 1:
            figures["interference"] = interference(continual[0][1]["interference"], what=what)
    aligned = [own["alignment"]["cosine"] for _, own in portraits if own.get("alignment")]
    if len(aligned) == 1 and aligned[0].shape[1] > 1 and np.isfinite(aligned[0]).all():
        figures["alignment"] = alignment(aligned[0])
    return figures


@styled
def tasks_seen(
    matrices: Sequence[tuple[str, np.ndarray]], metric: str, *, what: Noun = _TASKS
) -> Any:
    """Mean metric over all tasks met so far, by their number.

    `matrices`: label and R [lifetimes, tasks, tasks], R[i, j] the metric on task j after task i;
    `what`: one and several of what is learned one after the other.
    """
    found = []
    for label, matrix in matrices:
        seen = np.tril(np.ones(matrix.shape[1:]))
        found.append((label, (matrix * seen).sum(-1) / seen.sum(-1)))
    title = f"{_sentence(metric)} on all {what[1]} met so far"
    return _over_tasks(found, metric, f"{what[1]} learned so far", title)


@styled
def retention(
    matrices: Sequence[tuple[str, np.ndarray]], metric: str, *, what: Noun = _TASKS
) -> Any:
    """Metric on each task at the end of the lifetime, in the order in which they were learned.

    Arguments as of `tasks_seen`. Of one learner alone, also what it was just after each task.
    """
    found = [(label, matrix[:, -1]) for label, matrix in matrices]
    if len(matrices) == 1:
        just = matrices[0][1].diagonal(axis1=1, axis2=2)
        found = [(_JUST, just), ("at the end", found[0][1])]
    title = f"{_sentence(metric)} on each {what[0]}"
    return _over_tasks(found, metric, f"{what[0]}, in the order learned", title)


@styled
def alignment(cosine: np.ndarray) -> Any:
    """Angle between each moment's change and the gradient, a line a layer.

    `cosine`: [lifetimes, time, layers], of the change and the negative gradient of the moment's
    own loss.
    """
    degrees = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    figure, (axes,) = _style.new_figure(COLUMN, 2.5)
    note = f"below 90° it descends; mean and std of {len(cosine)} lifetimes"
    _style.heading(axes, "Angle of the change to the gradient", note)
    at = np.arange(1, degrees.shape[1] + 1)
    looks = _axes.layer_looks(degrees.shape[2])
    shown = _axes.some(len(looks), 8)
    ends = []
    for layer, look in enumerate(looks):
        mean = _band(axes, at, degrees[..., layer], look)
        if layer in shown:
            ends.append((_axes.last(mean), f"layer {layer + 1}", look))
    axes.set_yticks(range(0, 181, 30))
    top = max(100.0, float((degrees.mean(0) + degrees.std(0)).max()) + 5)
    axes.set_ylim(-2, min(top, 182))
    axes.axhline(90, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    axes.yaxis.set_major_formatter("{x:g}°")
    _whole(axes, "moment")
    _style.label_lines(axes, ends)
    return figure


@styled
def interference(measured: Arrays, *, what: Noun = _TASKS) -> Any:
    """What learning task i does to task j, and how alike the changes of two tasks are.

    `first_order` [lifetimes, tasks, tasks]: -<change of i, gradient of j>, positive where i helps
    j; `centred` and `gradient_centred`: cosines between the changes of two tasks, and between the
    gradients, each less their mean over tasks.
    """
    titles = {
        "first_order": "effect on the loss",
        "centred": "cosine of changes",
        "gradient_centred": "cosine of gradients",
    }
    shown = {name: measured[name].mean(0) for name in titles if name in measured}
    figure, axes = _maps.grid(1, len(shown), cell=1.7)
    for place, (name, matrix) in zip(axes[0], shown.items(), strict=True):
        # Of the diagonal, a task with itself, cosines are 1; the scale is that of the rest.
        others = matrix[~np.eye(len(matrix), dtype=bool)]
        limit = _maps.reach(others) if name != "first_order" else _maps.reach(matrix)
        image = _maps.show(place, matrix, limit)
        _maps.colour_bar(image, [place])
        place.set_title(titles[name], fontsize=7.5)
        step = max(len(matrix) // 5, 1)
        numbers = range(0, len(matrix), step)
        place.set_xticks(numbers, [str(i + 1) for i in numbers])
        place.set_yticks(numbers, [str(i + 1) for i in numbers])
        place.tick_params(length=2, labelsize=6.5)
        place.set_xlabel(f"{what[0]} j" if name == "first_order" else what[0], fontsize=7)
        place.set_ylabel(f"learned {what[0]} i" if name == "first_order" else what[0], fontsize=7)
    note = f"mean of {len(measured['before'])} lifetimes; red: i helps j; cosines less their mean"
    _style.figure_heading(figure, f"Interference between {what[1]}", note)
    return figure


# Pieces


def _over_tasks(
    found: Sequence[tuple[str, np.ndarray]], metric: str, below: str, title: str
) -> Any:
    """Lines over tasks, [lifetimes, tasks] each."""
    several = len(found) > 1
    figure, (axes,) = _style.new_figure(
        5.2 if several and found[0][0] != "just learned" else COLUMN + 0.6, 2.5
    )
    _style.heading(axes, title, _spread(found[0][1]))
    ends, most = [], 1.0 if metric in PARTS else None
    looks = _looks.looks([own for own, _ in found])
    if found[0][0] == _JUST:
        looks = [Look(MUTED, (0, (4, 1.5))), looks[0]]
    for (label, values), look in zip(found, looks, strict=True):
        mean = _band(axes, np.arange(1, values.shape[1] + 1), values, look, most=most)
        ends.append((_axes.last(mean), label, look))
    if metric in PARTS:
        _axes.percent(axes.yaxis)
        axes.set_ylim(-0.02, 1.02)
    else:
        axes.set_ylim(bottom=0)
    _whole(axes, below)
    if several:
        _style.label_lines(axes, ends)
    return figure


def _band(
    axes: Any, at: np.ndarray, values: np.ndarray, look: Look, *, most: float | int | None = None
) -> np.ndarray:
    """Draw the mean with its band, which ends at `most`, and return it."""
    mean, std = mean_and_std(values.T)
    marker = "o" if len(at) <= 12 else None
    axes.plot(at, mean, color=look.colour, linestyle=look.dashes, marker=marker, markersize=3)
    low, high = np.maximum(mean - std, 0), np.minimum(mean + std, most or np.inf)
    axes.fill_between(at, low, high, color=look.colour, alpha=0.14, linewidth=0)
    return mean


def _spread(values: np.ndarray) -> str:
    return f"mean of {len(values)} lifetimes; band: one standard deviation"


def _whole(axes: Any, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, steps=[1, 2, 5, 10]))
    axes.margins(x=0.02)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
