"""Figures of one lifetime: what came in, what was answered, how the fast state changed.

All functions take plain arrays by name, as `metaplastic.analysis.one_lifetime` and
`adapted_curves` give them.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from metaplastic.report import _axes, _looks, _maps, _style
from metaplastic.report._looks import INK, MUTED
from metaplastic.report._style import styled

Arrays = Mapping[str, np.ndarray]
STATE = "state/"
_MOST_ROWS = 80
"""Rows of a heat map that are still told apart."""
_MOST_MAPS = 6
"""Arrays of fast state that are drawn."""
_MOST_MOMENTS = 6
"""Moments at which they are drawn."""
_MOST_STATES = 4
"""Arrays of fast state whose every moment is drawn."""
_MOST_IMAGES = 60
"""Images in a row that can still be seen."""
_TITLES = {"x": "input", "y": "told", "target": "target"}
_PROBABILITIES = ("told", "target", "answer")
"""Panels of one scale, from 0 to 1, where classes are named."""


def lifetime_figures(portrait: Mapping[str, Arrays]) -> dict[str, Any]:
    """The figures of a lifetime that a portrait supports, by name."""
    figures: dict[str, Any] = {}
    life, curves = portrait.get("lifetime"), portrait.get("curves")
    classes = str((portrait.get("about") or {}).get("loss")) == "cross_entropy"
    if life and len(life["x"]) > 1:
        figures["lifetime"] = lifetime_rows(life, classes=classes)
    if life and any(_is_matrix(own) for name, own in life.items() if name.startswith(STATE)):
        figures["fast_state"] = fast_state(life)
    if curves:
        figures["adapted_curves"] = adapted_curves(curves)
    return figures


@styled
def lifetime_rows(life: Arrays, *, classes: bool = False) -> Any:
    """Inputs, what the learner was told, its targets, its answers and its traces over moments.

    `classes`: answers are shown as probabilities, and wrong ones marked. Of a batch the first
    example is shown.
    """
    panels = _panels(life, classes)
    heights = [own.height + 0.08 for own in panels]
    loss = life.get("loss")
    heights += [0.7] if loss is not None else []
    figure, axes = _maps.grid(len(heights), 1, cell=4.6, heights=heights)
    count = len(life["x"])
    for place, own in zip(axes[:, 0], panels, strict=False):
        whole = (-0.5, count - 0.5, len(own.rows) - 0.5, -0.5)
        limit = 1.0 if classes and own.name in _PROBABILITIES else _maps.reach(own.rows)
        image = _maps.show(place, own.rows, limit, signed=own.signed, extent=whole)
        _maps.colour_bar(image, [place])
        _maps.beside(place, own.name)
        if own.name == "answer" and classes:
            _mark_wrong(place, life)
    if loss is not None:
        _loss_row(axes[-1, 0], life)
    _moments(axes[-1, 0], count)
    note = "one column a moment" + ("; ×: wrong" if classes else "")
    note += "" if loss is None or _judged(life).all() else "; dots: not judged"
    batch = life["x"].shape[1]
    note += f"; first of the {batch} examples of a moment" if batch > 1 else ""
    _style.figure_heading(figure, "One lifetime, step by step", note)
    return figure


@styled
def fast_state(life: Arrays) -> Any:
    """Arrays of fast state as images at some moments, from birth to the end.

    Traces, which start at zero, are shown as they are; weights at birth, then their change.
    """
    kept = life["kept"]
    state = {k: v for k, v in life.items() if k.startswith(STATE) and _is_matrix(v)}
    shown = dict(list(state.items())[:_MOST_MAPS])
    at = sorted(_axes.some(len(kept), _MOST_MOMENTS))
    figure, axes = _maps.grid(len(shown), len(at))
    for number, (name, pages) in enumerate(shown.items()):
        row = axes[number]
        birth = pages[0].astype(np.float64)
        moved = bool(birth.any())
        limit = _maps.reach(*(pages[i] - birth for i in at))
        image = None
        for place, i in zip(row, at, strict=True):
            if moved and i == 0:
                _maps.colour_bar(_maps.show(place, birth, _maps.reach(birth)), [place])
            else:
                image = _maps.show(place, pages[i] - birth, limit)
            if number == 0:
                place.set_title(_when(kept, i), fontsize=7.5)
        if image is not None:
            _maps.colour_bar(image, row[-1:], "change" if moved else "")
        _maps.beside(row[0], f"{_short(name)}\n{_maps.shape_of(birth)}")
    note = "rows: from, columns: to; at birth, then the change since"
    if not any(pages[0].any() for pages in shown.values()):
        note = "rows: from, columns: to"
    left = len(state) - len(shown)
    _style.figure_heading(figure, "Fast state", note + (f"; {left} more" if left else ""))
    return figure


@styled
def adapted_curves(curves: Arrays) -> Any:
    """Functions of one variable: the target, the points met, answers before and after."""
    from matplotlib.figure import Figure

    count = len(curves["x"])
    columns = min(count, 4 if count > 4 else 2)
    rows = -(-count // columns)
    size = (0.4 + 1.75 * columns, 0.75 + 1.4 * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).reshape(-1)
    for place in axes[count:]:
        place.set_visible(False)
    after = _looks.looks(["adapted"])[0]
    for i, place in enumerate(axes[:count]):
        x = curves["x"][i]
        place.plot(x, curves["target"][i], color=INK, linewidth=1.1, label="target")
        place.plot(x, curves["before"][i], color=MUTED, ls=(0, (1, 1.2)), label="before")
        place.plot(x, curves["after"][i], color=after.colour, label="after the lifetime")
        met = (curves["support_x"][i], curves["support_y"][i])
        place.plot(*met, "o", color=INK, markersize=2.5, alpha=0.6, label="points met", zorder=3)
        place.grid(color=_style.GRID, linewidth=0.5)
        place.tick_params(length=2.5, width=0.7)
        if i >= count - columns:
            place.set_xlabel("x")
            place.tick_params(labelbottom=True)
        if i % columns == 0:
            place.set_ylabel("y")
    _style.figure_heading(figure, "Curves before and after a lifetime", "held-out curves")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(
        *handles, loc="outside lower center", ncols=4 if columns > 2 else 2, frameon=False
    )
    return figure


# Pieces


class _Panel(NamedTuple):
    """Rows over moments, from top to bottom."""

    name: str
    rows: np.ndarray
    """[rows, time], or as many columns as the images of all moments have."""
    signed: bool
    height: float
    """Inches."""


def _panels(life: Arrays, classes: bool) -> list[_Panel]:
    time = len(life["x"])
    panels = [_images(life["x"])] if life["x"].ndim > 3 and time <= _MOST_IMAGES else []
    found = {title: life.get(name) for name, title in _TITLES.items()}
    found["answer"] = _softmax(life["output"]) if classes else life["output"]
    if panels:
        del found["input"]
    if len(life.get("kept", ())) == time + 1:
        found |= _small_state(life)
    for name, own in found.items():
        if own is not None and own[0, 0].size <= _MOST_ROWS:
            rows = own[:, 0].reshape(time, -1).T
            height = float(np.clip(0.11 * len(rows), 0.42, 2.0))
            panels.append(_Panel(name, rows, bool((own < 0).any()), height))
    return panels


def _small_state(life: Arrays) -> dict[str, np.ndarray]:
    """Fast state with few numbers after every moment, [time, 1, *shape], by the name of its panel:
    traces as they are, weights as their change since birth."""
    found = {}
    for name, pages in life.items():
        if name.startswith(STATE) and pages[0].size <= _MOST_ROWS and len(found) < _MOST_STATES:
            moved = bool(pages[0].any())
            own = (pages[1:] - pages[:1])[:, None]
            found[_short(name) + (",\nchange" if moved else "")] = own
    return found


def _images(x: np.ndarray) -> _Panel:
    """The first example of every moment, [time, batch, height, width, channels], in a row."""
    images = x[:, 0].mean(-1)
    time, height, width = images.shape
    strip = images.transpose(1, 0, 2).reshape(height, time * width)
    inches = float(np.clip(4.6 / time * height / width, 0.3, 0.8))
    return _Panel("input", strip, bool((strip < 0).any()), inches)


def _softmax(values: np.ndarray) -> np.ndarray:
    own = np.exp(values.astype(np.float64) - values.max(-1, keepdims=True))
    return own / own.sum(-1, keepdims=True)


def _judged(life: Arrays) -> np.ndarray:
    weight = life.get("weight")
    return np.ones(len(life["x"]), bool) if weight is None else weight > 0


def _mark_wrong(axes: Any, life: Arrays) -> None:
    wanted = life.get("target", life.get("y"))
    if wanted is None:
        return
    chosen = life["output"][:, 0].argmax(-1)
    wrong = np.flatnonzero((chosen != wanted[:, 0].argmax(-1)) & _judged(life))
    axes.plot(wrong, chosen[wrong], "x", color="#D55E00", markersize=3.5)


def _loss_row(axes: Any, life: Arrays) -> None:
    loss, judged = life["loss"], _judged(life)
    at = np.arange(len(loss))
    axes.bar(at[judged], loss[judged], width=0.8, color=MUTED)
    if not judged.all():
        limit = axes.get_ylim()[1]
        axes.plot(at[~judged], np.full((~judged).sum(), 0.04 * limit), ".", color=INK, markersize=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlim(-0.5, len(loss) - 0.5)
    axes.yaxis.set_major_locator(_maps.few())
    axes.tick_params(labelsize=6, length=2, width=0.5)
    _maps.beside(axes, "loss", 46)


def _moments(axes: Any, count: int) -> None:
    step = max(round(count / 8), 1)
    axes.set_xlabel("moment")
    axes.set_xticks(range(0, count, step), [f"{i + 1:,}" for i in range(0, count, step)])
    axes.tick_params(axis="x", length=2.5, labelsize=7)


def _when(kept: np.ndarray, place: int) -> str:
    moment = int(kept[place])
    if moment == 0:
        return "at birth"
    return "at the end" if place == len(kept) - 1 else f"after {moment:,}"


def _short(name: str) -> str:
    """`state/model.nodes.1.weight` -> `nodes.1.weight`; `state/0.trace` -> `trace, layer 1`."""
    name = name.removeprefix(STATE).removeprefix("model.")
    layer = re.fullmatch(r"(\d+)\.(\w+)", name)
    return name if layer is None else f"{layer[2]}, layer {int(layer[1]) + 1}"


def _is_matrix(pages: np.ndarray) -> bool:
    return pages.ndim == 3
