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
        _finish(place, [int(entries[0]["data"]["horizon"])])
        seeds = max(len(own["data"]["held"]["accuracy"]) for own in entries)
        _style.heading(place, f"Accuracy, {title}", _note(seeds) if part == "trained" else "")
        _style.label_lines(place, ends)
    axes[-1].set_xlabel("updates")
    return figure


def each(entries: Sequence[Row]) -> Any:
    """A panel for each held-out function."""
    curves = [dict(zip(*_named(own["data"]["held"]), strict=True)) for own in entries]
    horizons = [int(entries[0]["data"]["horizon"])]
    return panels(entries, curves, horizons, "Accuracy on each held-out function")


def _named(held: Mapping[str, Any]) -> tuple[list[str], np.ndarray]:
    """Names of functions, and their accuracies, [functions, seeds, 1 + updates]."""
    return held["names"], np.asarray(held["accuracy"], np.float64).swapaxes(0, 1)


@styled
def panels(
    entries: Sequence[Row],
    curves: Sequence[Mapping[str, Any]],
    horizons: Sequence[int],
    title: str,
) -> Any:
    """A panel for each name in `curves`, which an entry's accuracies [seeds, 1 + updates] have;
    one line an entry, and a dotted one where meta-training ended."""
    names = list(curves[0])
    size = (2.2, 1.9) if len(names) > 1 else (5.2, 2.8)
    figure, axes = _style.grid(len(names), 3 if len(names) != 4 else 2, *size)
    labels = [str(own["label"]) for own in entries]
    looks = _looks.looks(labels)
    for place, name in zip(axes, names, strict=True):
        for own, look in zip(curves, looks, strict=True):
            _line(place, np.asarray(own[name], np.float64), look)
        _finish(place, horizons)
        place.set_title(name, loc="left", fontweight="bold")
        place.set_xlabel("updates")
    for label, look in zip(labels, looks, strict=True):
        axes[0].plot([], [], color=look.colour, linestyle=look.dashes, label=label)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
    seeds = max(len(own) for each in curves for own in each.values())
    _style.figure_heading(figure, title, _note(seeds))
    return figure


def _line(axes: Any, accuracy: np.ndarray, look: Look) -> float:
    """Draw [seeds, 1 + updates]; where the line ends."""
    updates = np.arange(1, accuracy.shape[1])
    return _axes.last(_axes.band(axes, updates, accuracy[:, 1:].T, look))


def _finish(axes: Any, horizons: Sequence[int]) -> None:
    axes.set_xscale("log")
    _axes.plain_decades(axes.xaxis)
    _axes.percent(axes.yaxis)
    for own in horizons:
        axes.axvline(own, color=MUTED, linewidth=0.7, linestyle=(0, (1, 1.2)))


def _note(seeds: int) -> str:
    spread = "band: one standard deviation of seeds; " if seeds > 1 else ""
    return f"{spread}dotted: the horizon of meta-training"
