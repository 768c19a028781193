"""Errors of a meta-gradient over the strength of nudging."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _style
from metaplastic.report._looks import MUTED, Look
from metaplastic.report._style import styled

Row = Mapping[str, Any]


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """Errors over beta, where contrasts are among the studies."""
    contrasts = any("error" in own["data"] for own in entries)
    return {"error_over_beta": error_over_beta(entries)} if contrasts else {}


@styled
def error_over_beta(entries: Sequence[Row]) -> Any:
    """Relative error against beta, a panel for each contrast, a line for each solver.

    Dots: the best beta. Dotted: the bound of the theory, where there is one. References that do
    without beta are not drawn.
    """
    contrasts = [own for own in entries if "error" in own["data"]]
    figure, axes = _style.grid(len(contrasts), 2, 3.0, 2.3)
    shared = [np.asarray(own["data"]["error"], np.float64) for own in contrasts]
    low = max(min(float(own[own > 0].min()) for own in shared), 1e-9)
    steps = contrasts[0]["data"]["steps"]
    looks = _axes.layer_looks(len(steps))
    for place, own in zip(axes, contrasts, strict=False):
        _errors(place, own["data"], looks)
        place.set_ylim(low / 2, 30)
        place.set_title(str(own["label"]), loc="left", fontweight="bold")
    for own, look in zip(steps, looks, strict=True):
        label = f"{own} steps" if own else "exact phases"
        axes[0].plot([], [], color=look.colour, label=label)
    if any(own["data"].get("bound") for own in contrasts):
        axes[0].plot([], [], color=MUTED, linestyle=(0, (1, 1.2)), label="bound")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=8, frameon=False
    )
    for place in axes[-2:]:
        place.set_xlabel("beta")
    _style.figure_heading(
        figure,
        "Relative error of the meta-gradient over the strength of nudging",
        "median over problems; colours: gradient steps of every phase",
    )
    return figure


def _errors(axes: Any, data: Row, looks: Sequence[Look]) -> None:
    beta = np.asarray(data["beta"], np.float64)
    error = np.asarray(data["error"], np.float64)  # null where a phase ran away
    bound = data.get("bound")
    for i, look in enumerate(looks):
        axes.plot(beta, error[i], color=look.colour)
        if bound:
            axes.plot(
                beta,
                np.asarray(bound[i], np.float64),
                color=look.colour,
                linestyle=(0, (1, 1.2)),
                linewidth=1.0,
            )
        best = np.nanargmin(error[i])
        axes.plot(beta[best], error[i, best], "o", color=look.colour, markersize=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _axes.plain_decades(axes.xaxis)
    _axes.plain_decades(axes.yaxis)
    axes.axhline(1.0, color=MUTED, linewidth=0.6)
