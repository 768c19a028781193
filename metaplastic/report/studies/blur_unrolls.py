"""Accuracy over updates, on functions of meta-training and on held-out ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._looks import MUTED, Look
from metaplastic.report._style import styled

Row = Mapping[str, Any]
_PARTS = {"trained": "functions of meta-training", "held": "held-out functions"}


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """Means over functions, and every held-out function for itself."""
    return {"accuracy_over_updates": over_updates(entries), "held_out_functions": each(entries)}


@styled
def over_updates(entries: Sequence[Row]) -> Any:
    """Mean accuracy over the functions of each part, a line for each learner.

    Gradient descent is at its best rate at each number of updates.
    """
    figure, axes = _style.new_figure(5.6, 4.6, rows=2)
    labels = [str(own["label"]) for own in entries]
    looks = _looks.looks(labels)
    for place, (part, title) in zip(axes, _PARTS.items(), strict=True):
        ends = []
        for own, label, look in zip(entries, labels, looks, strict=True):
            accuracy = np.asarray(own["data"][part]["accuracy"], np.float64).mean(1)
            ends.append((_line(place, accuracy, look), label, look))
        _finish(place, entries)
        _style.heading(place, f"Accuracy, {title}", _note(entries) if part == "trained" else "")
        _style.label_lines(place, ends)
    axes[-1].set_xlabel("updates")
    return figure


@styled
def each(entries: Sequence[Row]) -> Any:
    """A panel for each held-out function."""
    names = entries[0]["data"]["held"]["names"]
    figure, axes = _style.grid(len(names), 3, 2.2, 1.9)
    labels = [str(own["label"]) for own in entries]
    looks = _looks.looks(labels)
    for i, (place, name) in enumerate(zip(axes, names, strict=False)):
        for own, look in zip(entries, looks, strict=True):
            accuracy = np.asarray(own["data"]["held"]["accuracy"], np.float64)
            _line(place, accuracy[:, i], look)
        _finish(place, entries)
        place.set_title(name, loc="left", fontweight="bold")
        place.set_xlabel("updates")
    for label, look in zip(labels, looks, strict=True):
        axes[0].plot([], [], color=look.colour, linestyle=look.dashes, label=label)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
    _style.figure_heading(figure, "Accuracy on each held-out function", _note(entries))
    return figure


def _line(axes: Any, accuracy: np.ndarray, look: Look) -> float:
    """Draw [seeds, 1 + updates]; where the line ends."""
    updates = np.arange(1, accuracy.shape[1])
    return _axes.last(_axes.band(axes, updates, accuracy[:, 1:].T, look))


def _finish(axes: Any, entries: Sequence[Row]) -> None:
    axes.set_xscale("log")
    _axes.plain_decades(axes.xaxis)
    _axes.percent(axes.yaxis)
    axes.axvline(entries[0]["data"]["horizon"], color=MUTED, linewidth=0.7, linestyle=(0, (1, 1.2)))


def _note(entries: Sequence[Row]) -> str:
    seeds = max(len(own["data"]["held"]["accuracy"]) for own in entries)
    spread = "band: one standard deviation of seeds; " if seeds > 1 else ""
    return f"{spread}dotted: the horizon of meta-training"
