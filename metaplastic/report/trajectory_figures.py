"""Trajectories of meta-parameters: how the few numbers of a rule changed in meta-training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._style import styled

Row = Mapping[str, Any]
_MOST_PANELS, _MOST_LINES = 8, 12


def trajectory_figures(records: Sequence[Row]) -> dict[str, Any]:
    """The trajectories on record, if there are any and they are more than two points."""
    own = [record for record in records if record.get("values")]
    return {"meta_parameter_trajectories": trajectories(own)} if len(own) > 2 else {}


@styled
def trajectories(records: Sequence[Row]) -> Any:
    """Values of meta-parameters over meta-steps: a panel an array, a line a number.

    Medians over seeds. Arrays of more numbers than a panel can tell apart show their quantiles;
    single numbers, which have panels of their own, show their seeds too.
    """
    steps = np.asarray([own["step"] for own in records], np.int64)
    names = list(records[0]["values"])
    shown = names[:_MOST_PANELS]
    figure, axes = _style.grid(len(shown), 2, 2.7, 1.7)
    for place, name in zip(axes, shown, strict=True):
        values = np.asarray([own["values"][name] for own in records], np.float64)
        values = values.reshape(*values.shape[:2], -1)  # [records, seeds, numbers]
        _lines(place, steps, values)
        place.set_title(name, loc="left", fontsize=7.5)
        place.axhline(0, color=_style.GRID, linewidth=0.8, zorder=1)
    for place in axes[-2:]:
        place.set_xlabel("meta-step")
    left = len(names) - len(shown)
    note = "medians over seeds" + (f"; {left} more arrays are not shown" if left else "")
    _style.figure_heading(figure, "Meta-parameters over meta-training", note)
    return figure


def _lines(axes: Any, steps: np.ndarray, values: np.ndarray) -> None:
    middle = np.nanmedian(values, 1)
    count = middle.shape[1]
    if count > _MOST_LINES:
        ranks = (0, 0.25, 0.5, 0.75, 1)
        middle, labels = np.quantile(middle, ranks, axis=1).T, [f"{own:.0%}" for own in ranks]
    else:
        labels = [f"[{index}]" for index in range(count)] if count > 1 else [""]
    looks = _axes.layer_looks(5) if count > _MOST_LINES else _looks.looks(labels)
    if count == 1:
        axes.plot(steps, values[:, :, 0], color=looks[0].colour, linewidth=0.5, alpha=0.5)
    for own, label, look in zip(middle.T, labels, looks, strict=True):
        axes.plot(steps, own, color=look.colour, linestyle=look.dashes)
        if label:
            axes.annotate(
                label,
                (steps[-1], own[-1]),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=6,
                color=look.colour,
                annotation_clip=False,
            )
