"""The depth-transfer matrix: meta-trained with one number of layers, tested with others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _style
from metaplastic.report._style import styled

Row = Mapping[str, Any]


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """One matrix of all studies."""
    return {"depth_transfer": depth_transfer(entries)}


@styled
def depth_transfer(entries: Sequence[Row]) -> Any:
    """Mean accuracy over seeds; rows: layers of meta-training, columns: layers of the test."""
    trained = [own["data"]["trained"] for own in entries]
    tested = entries[0]["data"]["tested"]
    values = np.asarray([own["data"]["accuracy"] for own in entries], np.float64).mean(-1)
    figure, (axes,) = _style.new_figure(1.3 + 0.42 * len(tested), 1.3 + 0.36 * len(trained))
    axes.grid(visible=False)
    axes.imshow(values, cmap="viridis", vmin=0.5, vmax=1.0, aspect="auto")
    for i, j in np.ndindex(*values.shape):
        colour = "white" if values[i, j] < 0.8 else "black"
        text = "–" if np.isnan(values[i, j]) else f"{100 * values[i, j]:.0f}"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=7.5)
    axes.set_xticks(range(len(tested)), [str(own) for own in tested])
    axes.set_yticks(range(len(trained)), [str(own) for own in trained])
    axes.set_xlabel("hidden layers of the test")
    axes.set_ylabel("of meta-training")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    note = "% of unseen functions' points, mean over seeds"
    _style.figure_heading(figure, "Accuracy of a genome over depths", note)
    return figure
