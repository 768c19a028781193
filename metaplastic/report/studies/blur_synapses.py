"""Size of synapses, and accuracy, over lifetimes far longer than those of meta-training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._looks import MUTED
from metaplastic.report._style import styled

Row = Mapping[str, Any]


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """One figure of all studies."""
    return {"synapse_growth": synapse_growth(entries)}


@styled
def synapse_growth(entries: Sequence[Row]) -> Any:
    """Root mean square of synapses, and accuracy, over updates; logarithmic where it spans much."""
    figure, axes = _style.new_figure(5.6, 4.4, rows=2)
    labels = [str(own["label"]) for own in entries]
    looks = _looks.looks(labels)
    titles = {"size": "Root mean square of synapses", "accuracy": "Accuracy, held-out functions"}
    for place, (name, title) in zip(axes, titles.items(), strict=True):
        ends, every = [], []
        for own, label, look in zip(entries, labels, looks, strict=True):
            values = np.asarray(own["data"][name], np.float64)
            updates = np.arange(1, values.shape[1])
            line = _axes.band(place, updates, values[:, 1:].T, look)
            ends.append((_axes.last(line), label, look))
            every.append(line[np.isfinite(line)])
        place.set_xscale("log")
        _axes.plain_decades(place.xaxis)
        if name == "accuracy":
            _axes.percent(place.yaxis)
        elif np.concatenate(every).max() > 20 * np.concatenate(every).min():
            place.set_yscale("log")
            _axes.plain_decades(place.yaxis)
        horizon = entries[0]["data"]["horizon"]
        place.axvline(horizon, color=MUTED, linewidth=0.7, linestyle=(0, (1, 1.2)))
        note = "dotted: the horizon of meta-training" if name == "size" else ""
        _style.heading(place, title, note)
        _style.label_lines(place, ends)
    axes[-1].set_xlabel("updates")
    return figure
