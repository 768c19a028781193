"""Coefficients of a pool of terms over meta-training, and the terms that survive."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _looks, _style
from metaplastic.report._looks import MUTED, Look
from metaplastic.report._style import styled

Row = Mapping[str, Any]
_FAINT = "#b8b8b8"
_NAMED = 5
"""Terms that have a colour and a name, the largest of those that survive."""


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """Trajectories of all arms."""
    return {"pool_coefficients": coefficients(entries)}


@styled
def coefficients(entries: Sequence[Row]) -> Any:
    """Coefficients against meta-steps, a row an arm: medians over seeds, the first term apart.

    Each is multiplied by the norm of its term, so that they can be compared. Coloured and named:
    the largest of the survivors; grey: all others.
    """
    figure, axes = _style.grid(2 * len(entries), 2, 3.1, 2.0)
    for entry, (first, others) in zip(
        entries, zip(axes[::2], axes[1::2], strict=True), strict=True
    ):
        data = entry["data"]
        steps = np.asarray(data["steps"], np.int64)
        values = {
            name: data["norms"][name] * np.asarray(own, np.float64).reshape(len(steps), -1)
            for name, own in data["values"].items()
        }
        lead = "pseudo_gradient" if "pseudo_gradient" in values else next(iter(values))
        looks = _coloured(values, data["survivors"], lead)
        _panel(first, steps, {lead: values.pop(lead)}, {lead: _looks.looks([lead])[0]})
        _panel(others, steps, values, looks)
        alive = len(data["survivors"])
        first.set_title(str(entry["label"]), loc="left", fontweight="bold")
        others.set_title(f"the other terms; {alive} of {len(values) + 1} survive", loc="left")
    for place in axes[-2:]:
        place.set_xlabel("meta-step")
    _style.figure_heading(
        figure,
        "Coefficients of the terms over meta-training",
        "times the terms' norms, relative to the pseudo-gradient's; medians over seeds; "
        "colours: terms that survive",
    )
    return figure


def _coloured(values: Row, survivors: Sequence[str], lead: str) -> dict[str, Look]:
    alive = [name for name in survivors if name != lead]
    alive.sort(key=lambda name: -abs(np.median(values[name][-1])))
    chosen = alive[:_NAMED]
    return dict(zip(chosen, _looks.looks(chosen), strict=True))


def _panel(axes: Any, steps: np.ndarray, values: Row, looks: Mapping[str, Look]) -> None:
    ends = []
    for name, own in values.items():
        middle, look = np.median(own, 1), looks.get(name)
        if look is None:
            axes.plot(steps, middle, color=_FAINT, linewidth=0.8, zorder=1)
            continue
        axes.plot(steps, middle, color=look.colour, linestyle=look.dashes)
        ends.append((float(middle[-1]), name.replace("_", " "), look))
    axes.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
    _style.label_lines(axes, ends)
