"""Bandits on the wheel: regret over trials, and the policies that agents learned."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._looks import INK
from metaplastic.report._style import styled

Row = Mapping[str, Any]
_ARMS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#9a9a9a")
"""Of the wheel's arms; the safe one is grey."""
_MOST_WHEELS = 8


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """Regret of all agents, and the policies of the first."""
    return {
        "wheel_regret": wheel_regret(entries),
        "wheel_policies": wheel_policies(entries[:_MOST_WHEELS]),
    }


@styled
def wheel_regret(entries: Sequence[Row]) -> Any:
    """Regret over trials, in parts of the uniform policy's, a panel for each wheel."""
    radii = entries[0]["data"]["radii"]
    figure, axes = _style.grid(len(radii), 2, 2.9, 2.1)
    labels = [str(own["label"]) for own in entries]
    looks = _looks.looks(labels)
    for i, (place, radius) in enumerate(zip(axes, radii, strict=False)):
        for own, look in zip(entries, looks, strict=True):
            data = own["data"]
            place.plot(data["trials"], data["regret"][i], color=look.colour, linestyle=look.dashes)
        place.set_title(f"radius {radius:g}", loc="left", fontweight="bold")
        place.set_xscale("log")
        _axes.plain_decades(place.xaxis)
        place.set_ylim(0, 1.3)
        _axes.percent(place.yaxis)
    for label, look in zip(labels, looks, strict=True):
        axes[0].plot([], [], color=look.colour, linestyle=look.dashes, label=label)
    legend = dict(zip(("handles", "labels"), axes[0].get_legend_handles_labels(), strict=True))
    if len(axes) < len(figure.axes):  # an empty place of the grid
        figure.axes[-1].legend(**legend, loc="center", frameon=False, fontsize=8)
    else:
        figure.legend(**legend, loc="outside lower center", ncols=4, frameon=False)
    for place in axes[-2:]:
        place.set_xlabel("trials")
    _style.figure_heading(
        figure,
        "Cumulative regret, in percent of the uniform policy's",
        "median over seeds; lower is better",
    )
    return figure


@styled
def wheel_policies(entries: Sequence[Row]) -> Any:
    """The last contexts on one wheel, coloured by the arm that each agent took."""
    figure, axes = _style.grid(len(entries), 4, 1.5, 1.65)
    radius = entries[0]["data"]["policy"]["radius"]
    turn = np.linspace(0, 2 * np.pi, 200)
    for place, own in zip(axes, entries, strict=False):
        policy = own["data"]["policy"]
        x, arm = np.asarray(policy["x"], np.float64), np.asarray(policy["arm"])
        for i, colour in enumerate(_ARMS):
            place.plot(*x[arm == i].T, ".", color=colour, markersize=2.2, markeredgewidth=0)
        for size, width in ((1.0, 0.7), (radius, 0.9)):
            place.plot(size * np.cos(turn), size * np.sin(turn), color=INK, linewidth=width)
        place.set_aspect("equal")
        place.set_axis_off()
        place.set_title(str(own["label"]), fontsize=7.5)
    for i, colour in enumerate(_ARMS):
        label = "safe arm" if i == len(_ARMS) - 1 else f"arm {i}"
        axes[0].plot([], [], "o", color=colour, markersize=4, label=label)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
    )
    _style.figure_heading(
        figure,
        f"Arms taken at the last contexts, wheel of radius {radius:g}",
        "best: the safe arm inside the circle, at the rim another arm in each quadrant",
    )
    return figure
