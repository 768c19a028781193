"""Maps of meta-parameters: every matrix of a learner before and after meta-training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from metaplastic.report import _maps, _style
from metaplastic.report._style import styled

Arrays = Mapping[str, np.ndarray]
_MOST = 10
"""Matrices of a figure."""


def map_figures(portrait: Mapping[str, Arrays]) -> dict[str, Any]:
    """The maps that a portrait supports, by name."""
    start, end = portrait.get("start") or {}, portrait.get("end") or {}
    both = [name for name in end if name in start]
    return {"meta_parameters": parameter_maps(start, end)} if both else {}


@styled
def parameter_maps(start: Arrays, end: Arrays) -> Any:
    """Matrices by path, [from, to] each, before and after meta-training, on one scale a row.

    The third column is how much of the change there is in each place. Only the first ten.
    """
    names = [name for name in end if name in start]
    shown = names[:_MOST]
    figure, axes = _maps.grid(len(shown), 3, cell=1.3, heights=[1.0] * len(shown))
    for row, name in zip(axes, shown, strict=True):
        before, after = (own[name].astype(np.float64) for own in (start, end))
        limit = _maps.reach(before, after)
        _maps.show(row[0], before, limit)
        _maps.colour_bar(_maps.show(row[1], after, limit), [row[1]])
        change = after - before
        _maps.colour_bar(_maps.show(row[2], change, _maps.reach(change)), [row[2]])
        _maps.beside(row[0], f"{_broken(name)}\n{_maps.shape_of(after)}")
    for place, title in zip(axes[0], ("before", "after", "change"), strict=True):
        place.set_title(title, fontsize=7.5)
    note = "by path; rows: from, columns: to"
    left = len(names) - len(shown)
    note += f"; {left} more are not shown" if left else ""
    _style.figure_heading(figure, "Meta-parameters before and after meta-training", note)
    return figure


def _broken(name: str) -> str:
    """A long path on two lines."""
    if len(name) <= 22:
        return name
    parts, line = name.split("."), len(name) // 2
    for i in range(1, len(parts)):
        if len(".".join(parts[:i])) >= line:
            return ".".join(parts[:i]) + ".\n" + ".".join(parts[i:])
    return name
