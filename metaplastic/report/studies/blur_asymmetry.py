"""Asymmetry of the update's Jacobian over a lifetime: 0 for a gradient."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._style import styled

Row = Mapping[str, Any]


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """One figure of all studies."""
    return {"jacobian_asymmetry": jacobian_asymmetry(entries)}


@styled
def jacobian_asymmetry(entries: Sequence[Row]) -> Any:
    """|J - J^T| / |J + J^T| of the update at each moment, a line for each learner."""
    figure, (axes,) = _style.new_figure(5.6, 2.8)
    labels = [str(own["label"]) for own in entries]
    ends = []
    for own, label, look in zip(entries, labels, _looks.looks(labels), strict=True):
        values = np.asarray(own["data"]["asymmetry"], np.float64)
        line = _axes.band(axes, np.arange(1, values.shape[1] + 1), values.T, look)
        ends.append((_axes.last(line), label, look))
    axes.set_xlabel("update")
    axes.set_ylim(bottom=-0.02)
    _style.heading(
        axes, "Asymmetry of the Jacobian of an update", "0: the update may be a gradient"
    )
    _style.label_lines(axes, ends)
    return figure
