"""Networks with and without synaptic memories: accuracy over meta-steps, and what it costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._style import styled

Row = Mapping[str, Any]


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """Curves of meta-training and energies of all learners."""
    return {
        "accuracy_over_meta_steps": accuracy_over_meta_steps(entries),
        "synaptic_energy": synaptic_energy(entries),
    }


@styled
def accuracy_over_meta_steps(entries: Sequence[Row]) -> Any:
    """Accuracy on the held-out task over meta-steps, a line for each learner."""
    figure, (axes,) = _style.new_figure(6.2, 2.9)
    looks = _looks.looks([str(own["label"]) for own in entries])
    ends = []
    for own, look in zip(entries, looks, strict=True):
        curve = own["data"]["curve"]
        steps, metric = np.asarray(curve["step"]), np.asarray(curve["test_metric"], np.float64)
        mean = _axes.band(axes, steps, metric, look)
        ends.append((_axes.last(mean), str(own["label"]), look))
    _style.heading(axes, "Accuracy on the held-out task", _note(entries))
    _axes.meta_steps(axes)
    _axes.percent(axes.yaxis)
    _style.label_lines(axes, ends)
    return figure


def _note(entries: Sequence[Row]) -> str:
    counts = [len(own["data"]["curve"]["test_metric"][0]) for own in entries]
    fewest, most = min(counts), max(counts)
    if most == 1:
        return "1 seed"
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"line: mean of {seeds} seeds; band: one standard deviation"


@styled
def synaptic_energy(entries: Sequence[Row]) -> Any:
    """sum |G| u^2 of a moment after meta-training: bars of the mean over moments and seeds, dots
    for seeds, the accuracy behind."""
    figure, (axes,) = _style.new_figure(5.4, 0.7 + 0.24 * len(entries))
    looks = _looks.looks([str(own["label"]) for own in entries])
    for y, (own, look) in enumerate(zip(entries, looks, strict=True)):
        energy = np.asarray(own["numbers"]["energy"], np.float64)
        axes.barh(y, energy.mean(), height=0.62, color=look.colour, alpha=0.75, linewidth=0)
        axes.plot(energy, np.full(len(energy), y), "o", color=look.colour, markersize=3)
        accuracy = float(np.mean(own["numbers"][""]))
        place = (max(energy.max(), energy.mean()), y)
        axes.annotate(
            f"{100 * accuracy:.0f}% right",
            place,
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    _axes.horizontal(axes)
    axes.set_yticks(range(len(entries)), [str(own["label"]) for own in entries])
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.set_xlim(0, 1.3 * max(max(own["numbers"]["energy"]) for own in entries))
    _style.heading(axes, "Synaptic energy of a moment", "")
    axes.set_xlabel("sum of |G| u²; bar: mean over seeds, dots: seeds")
    return figure
