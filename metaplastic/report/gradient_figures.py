"""The meta-gradients of a comparison beside each other: error, time and memory."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._style import styled

Row = Mapping[str, Any]
_PANELS = (
    ("relative_error", "relative error"),
    ("milliseconds", "ms of an estimate"),
    ("megabytes", "MB of memory"),
)
_LEAST = 1e-9
"""Errors below it are drawn as it: they are rounding."""


def gradient_rows(rows: Sequence[Row]) -> list[Row]:
    """The rows whose first meta-gradient was compared with the exact one, the best first."""
    own = [r for r in rows if (r.get("gradient") or {}).get("relative_error") is not None]
    return sorted(own, key=lambda row: row["gradient"]["relative_error"])


@styled
def meta_gradients(rows: Sequence[Row]) -> Any:
    """Error against the exact meta-gradient, time and memory of every estimator, best on top."""
    from matplotlib.figure import Figure

    rows = gradient_rows(rows)
    labels = ["\n".join(textwrap.wrap(str(row["label"]), 30)) for row in rows]
    lines = sum(1 + label.count("\n") for label in labels)
    figure = Figure(figsize=(7.6, 1.1 + 0.2 * lines), layout="constrained")
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    looks = _looks.looks([str(row["label"]) for row in rows])
    for place, (name, title) in zip(axes, _PANELS, strict=True):
        place.grid(axis="x", color=_style.GRID, linewidth=0.6)
        for y, (row, look) in enumerate(zip(rows, looks, strict=True)):
            value = row["gradient"][name]
            if value is not None:
                place.plot(max(value, _LEAST), y, "o", color=look.colour, markersize=5)
        place.set_xscale("log")
        _axes.plain_decades(place.xaxis, 4)
        place.set_xlabel(title)
        place.margins(x=0.12)
        _axes.horizontal(place)
    axes[0].axvline(1.0, color=_looks.MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
    axes[0].set_yticks(range(len(rows)), labels)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    note = "of the same lifetimes; at the dashed line an estimate is no better than none"
    _style.figure_heading(figure, "Meta-gradients against the exact one", note)
    return figure
