"""The rows of studies that have no figure of their own: a dot for each number of the table."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._style import styled

Row = Mapping[str, Any]


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """One figure for each metric of which there is more than one number."""
    found: dict[str, list[tuple[str, np.ndarray]]] = {}
    for own in entries:
        for name, values in own["numbers"].items():
            metric = str(own["metrics"].get(name, ""))
            label = ", ".join(filter(None, (str(own["label"]), name)))
            scale = 100.0 if metric.endswith("%") else 1.0
            numbers = found.setdefault(metric, [])
            numbers.append((label, scale * np.asarray(values, np.float64)))
    return {
        "rows_" + re.sub(r"\W+", "_", metric).strip("_"): rows(metric, numbers)
        for metric, numbers in found.items()
        if len(numbers) > 1
    }


@styled
def rows(metric: str, numbers: Sequence[tuple[str, np.ndarray]]) -> Any:
    """Mean and standard deviation of every row, with its seeds; numbers that are not finite are
    left out."""
    figure, (axes,) = _style.new_figure(5.4, 0.8 + 0.22 * len(numbers))
    look = _looks.looks(["ours"])[0]
    for y, (_, values) in enumerate(numbers):
        finite = values[np.isfinite(values)]
        if finite.size:
            spread = {"mean": finite.mean(), "std": finite.std(), "per_seed": finite.tolist()}
            _axes.dot(axes, spread, y, look)
    _axes.horizontal(axes)
    axes.set_yticks(range(len(numbers)), [label for label, _ in numbers])
    axes.set_ylim(len(numbers) - 0.4, -0.6)
    most = max(len(values) for _, values in numbers)
    note = "1 seed" if most == 1 else "mean and standard deviation, and the seeds"
    _style.heading(axes, metric[:1].upper() + metric[1:], note)
    return figure
