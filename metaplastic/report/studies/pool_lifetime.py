"""What rules over random feedback do within a lifetime: accuracy, angles, orthonormality."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._style import styled

Row = Mapping[str, Any]


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """Angles and orthonormality layer by layer, and accuracy."""
    return {
        "error_angles": angles(entries),
        "orthonormality": orthonormality(entries),
        "accuracy_in_a_lifetime": accuracy(entries),
    }


@styled
def angles(entries: Sequence[Row]) -> Any:
    """Degrees between the errors of feedback and of backpropagation, a panel a hidden layer."""
    figure, axes = _layers(entries, "angle")
    for place in axes:
        place.axhline(90, color=_style.GRID, linewidth=0.8, zorder=0)
        place.set_ylim(0, 100)
        place.set_yticks([0, 30, 60, 90])
    _style.figure_heading(
        figure,
        "Errors against those of backpropagation, degrees",
        "hidden layers from the input down; means over held-out lifetimes and seeds",
    )
    return figure


@styled
def orthonormality(entries: Sequence[Row]) -> Any:
    """|z - W W^T y|^2, a panel a layer; 0 where the rows of W are orthonormal."""
    figure, axes = _layers(entries, "defect")
    for place in axes:
        place.set_yscale("log")
        _axes.plain_decades(place.yaxis)
    _style.figure_heading(
        figure,
        "Distance of the weights from orthonormality, |z - W W^T y|²",
        "layers from the input down; means over questions, held-out lifetimes and seeds",
    )
    return figure


@styled
def accuracy(entries: Sequence[Row]) -> Any:
    """Accuracy on the questions of a lifetime, over its moments."""
    figure, (axes,) = _style.new_figure(4.6, 2.6)
    looks, ends = _looks.looks([str(own["label"]) for own in entries]), []
    for own, look in zip(entries, looks, strict=True):
        values = 100 * np.asarray(own["data"]["accuracy"], np.float64)
        axes.plot(own["data"]["moment"], values, color=look.colour, linestyle=look.dashes)
        ends.append((float(values[-1]), str(own["label"]), look))
    axes.set_xlabel("images seen")
    _style.heading(axes, "Accuracy within a lifetime, %", "means over held-out lifetimes and seeds")
    _style.label_lines(axes, ends)
    return figure


def _layers(entries: Sequence[Row], name: str) -> tuple[Any, Any]:
    """A panel a layer, a line a rule."""
    values = [np.asarray(own["data"][name], np.float64) for own in entries]
    layers = values[0].shape[1]
    figure, axes = _style.grid(layers, 2, 2.9, 1.9)
    looks = _looks.looks([str(own["label"]) for own in entries])
    for layer, place in enumerate(axes):
        for own, line, look in zip(entries, values, looks, strict=True):
            place.plot(
                own["data"]["moment"],
                line[:, layer],
                color=look.colour,
                linestyle=look.dashes,
                label=str(own["label"]) if layer == 0 else None,
            )
        place.set_title(f"layer {layer + 1}", loc="left")
    for place in axes[-2:]:
        place.set_xlabel("images seen")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure, axes
