"""Continual familiarity: how well is known what comes back after other intervals than those met?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._looks import MUTED
from metaplastic.report._style import styled
from metaplastic.report.studies.stpn_retrieval import accuracy_over_meta_steps, synaptic_energy

Row = Mapping[str, Any]


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """Accuracy over intervals, curves of meta-training, energies."""
    return {
        "accuracy_over_intervals": accuracy_over_intervals(entries),
        "accuracy_over_meta_steps": accuracy_over_meta_steps(entries),
        "synaptic_energy": synaptic_energy(entries),
    }


@styled
def accuracy_over_intervals(entries: Sequence[Row]) -> Any:
    """Accuracy when patterns come back after so many moments; upright: meta-training's interval.

    Dotted: who always says `new`.
    """
    figure, (axes,) = _style.new_figure(6.2, 2.9)
    looks = _looks.looks([str(own["label"]) for own in entries])
    ends = []
    for own, look in zip(entries, looks, strict=True):
        data = own["data"]
        accuracy = np.asarray(data["accuracy"], np.float64).T
        mean = _axes.band(axes, np.asarray(data["intervals"]), accuracy, look)
        ends.append((_axes.last(mean), str(own["label"]), look))
    data = entries[0]["data"]
    for interval in data["trained"]:
        axes.axvline(interval, color=MUTED, linewidth=0.9, zorder=1)
    axes.plot(
        data["intervals"], data["chance"], color=MUTED, linestyle=(0, (1, 1.2)), linewidth=1.0
    )
    seeds = len(data["accuracy"])
    note = f"line: mean of {seeds} seeds; band: one standard deviation" if seeds > 1 else "1 seed"
    _style.heading(axes, "Accuracy over the interval after which patterns come back", note)
    axes.set_xlabel("moments; upright: interval of meta-training; dotted: always 'new'")
    axes.set_xscale("log")
    axes.set_xticks(data["intervals"], [str(own) for own in data["intervals"]])
    axes.minorticks_off()
    _axes.percent(axes.yaxis)
    _style.label_lines(axes, ends)
    return figure
