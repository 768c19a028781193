"""Figures of what the changes within lifetimes do: what is kept, what is undone, which way they go.

All functions take plain arrays, as `lifetimes` and `retention` of `metaplastic.analysis` measure
them, with an axis of lifetimes in front. Lines are means over lifetimes, bands their standard
errors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _maps, _style
from metaplastic.report._looks import MUTED, Look
from metaplastic.report._over_tasks import JUST, mean_line, over_tasks, whole_axis
from metaplastic.report._style import COLUMN, styled
from metaplastic.report.portrait import Portrait

Arrays = Mapping[str, np.ndarray]
Noun = tuple[str, str]
_TASKS = ("task", "tasks")


def change_figures(portrait: Portrait) -> dict[str, Any]:
    """The figures of one learner alone that its portrait supports, by name."""
    figures: dict[str, Any] = {}
    if portrait.get("interference"):
        figures["interference"] = interference(portrait["interference"], what=_what(portrait))
    if _aligned(portrait):
        figures["alignment"] = alignment(portrait["alignment"]["cosine"])
    return figures


def shared_change_figures(portraits: Sequence[tuple[str, Portrait]]) -> dict[str, Any]:
    """Those that show one or several learners on one task, `(label, portrait)` each, together."""
    figures: dict[str, Any] = {}
    continual = [(label, own) for label, own in portraits if own.get("retention")]
    if continual:
        first = continual[0][1]
        metric = str((first.get("about") or {}).get("metric", "metric"))
        kept = [(label, own["retention"]["retention"]) for label, own in continual]
        figures["tasks_seen"] = tasks_seen(kept, metric, what=_what(first))
        figures["retention"] = retention(kept, metric, what=_what(first))
    aligned = [(label, own["alignment"]["overall"]) for label, own in portraits if _aligned(own)]
    if len(aligned) > 1 and len({own.shape[1] for _, own in aligned}) == 1:
        figures["alignments"] = alignments(aligned)
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
    return over_tasks(found, metric, f"{what[1]} learned so far", title)


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
        found = [(JUST, just), ("at the end", found[0][1])]
    title = f"{_sentence(metric)} on each {what[0]}"
    return over_tasks(found, metric, f"{what[0]}, in the order learned", title)


@styled
def alignment(cosine: np.ndarray) -> Any:
    """Angle between each moment's change and the gradient, a line a layer.

    `cosine`: [lifetimes, time, layers], of the change and the negative gradient of the moment's
    own loss; NaN at moments that a lifetime lacks.
    """
    names = [f"layer {index + 1}" for index in range(cosine.shape[2])]
    looks, shown = _axes.layer_looks(len(names)), _axes.some(len(names), 8)
    labels = [name if index in shown else "" for index, name in enumerate(names)]
    return _angles(list(np.moveaxis(cosine, 2, 0)), labels, looks, COLUMN)


@styled
def alignments(cosines: Sequence[tuple[str, np.ndarray]]) -> Any:
    """The same of all layers together, a line a learner: label and cosine [lifetimes, time]."""
    labels = [label for label, _ in cosines]
    return _angles([own for _, own in cosines], labels, _looks.looks(labels), 5.2)


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
    count = len(measured["first_order"])
    note = "one lifetime" if count == 1 else f"mean of {count} lifetimes"
    note += "; red: i helps j; cosines less their mean"
    _style.figure_heading(figure, f"Interference between {what[1]}", note)
    return figure


# Pieces


def _what(portrait: Portrait) -> Noun:
    loss = str((portrait.get("about") or {}).get("loss"))
    return ("class", "classes") if loss == "cross_entropy" else _TASKS


def _aligned(portrait: Portrait) -> bool:
    """Are there cosines of several moments, each of which some lifetime has?"""
    cosine = (portrait.get("alignment") or {}).get("cosine")
    if cosine is None or cosine.shape[1] < 2 or np.isinf(cosine).any():
        return False
    return bool(np.isfinite(cosine).any(0).all())


def _angles(
    cosines: Sequence[np.ndarray], labels: Sequence[str], looks: Sequence[Look], width: float | int
) -> Any:
    """Angles over moments, [lifetimes, time] each; those without a label are not named."""
    degrees = [np.degrees(np.arccos(np.clip(own, -1, 1))) for own in cosines]
    figure, (axes,) = _style.new_figure(width, 2.5)
    count = len(degrees[0])
    note = "one lifetime" if count == 1 else f"mean and s.e. of {count} lifetimes"
    note = f"below 90° it descends; {note}"
    _style.heading(axes, "Angle of the change to the gradient", note)
    means = [mean_line(axes, own, look) for own, look in zip(degrees, looks, strict=True)]
    ends = zip([_axes.last(mean) for mean in means], labels, looks, strict=True)
    axes.set_yticks(range(0, 181, 30))
    axes.set_ylim(-2, min(max(100.0, float(np.max(means)) + 10), 182))
    axes.axhline(90, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    axes.yaxis.set_major_formatter("{x:g}°")
    whole_axis(axes, "moment")
    _style.label_lines(axes, [end for end in ends if end[1]])
    return figure


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
