"""Figures of learners that settle: errors over beta, strengths, wall time, and the wheel.

All functions take plain rows of records and arrays of portraits.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _axes, _looks, _style
from metaplastic.report._looks import INK, MUTED, Look
from metaplastic.report._style import COLUMN, styled

Row = Mapping[str, Any]
Arrays = Mapping[str, np.ndarray]
_ARMS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#9a9a9a")
"""Of the wheel's arms; the safe one is grey."""
_MOST_WHEELS = 8


def study_figures(entries: Sequence[Row]) -> dict[str, Any]:
    """The figures of the studies of one experiment, by name."""
    figures: dict[str, Any] = {}
    errors = [own for own in entries if own["figure"] == "beta"]
    if any("error" in own["data"] for own in errors):
        figures["error_over_beta"] = error_over_beta(errors)
    agents = [own for own in entries if own["figure"] == "wheel"]
    if agents:
        figures["wheel_regret"] = wheel_regret(agents)
        figures["wheel_policies"] = wheel_policies(agents[:_MOST_WHEELS])
    return figures


# Errors over beta


@styled
def error_over_beta(entries: Sequence[Row]) -> Any:
    """Relative error against beta, a panel for each contrast, a line for each solver.

    Dots: the best beta. Dotted: the bound of the theory, where there is one. References that do
    without beta are not drawn.
    """
    contrasts = [own for own in entries if "error" in own["data"]]
    figure, axes = _grid(len(contrasts), 2, 3.0, 2.3)
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


# Strengths


def strength_figures(portrait: Mapping[str, Arrays]) -> dict[str, Any]:
    """The strengths of a portrait, if it has any."""
    own = portrait.get("strengths") or {}
    return {"strengths": strengths(own)} if own else {}


@styled
def strengths(quantiles: Arrays) -> Any:
    """Strengths of each array of synapses: middle half as a box, 5 to 95 % as a line.

    `quantiles`: by path, lambda of 1/2 lambda (phi - omega)^2 at evenly spaced ranks, [101].
    """
    from matplotlib.ticker import NullLocator

    names = list(quantiles)
    figure, (axes,) = _style.new_figure(COLUMN + 1.2, 0.9 + 0.26 * len(names))
    values = np.stack([np.asarray(quantiles[name], np.float64) for name in names])
    positive = values[values > 0]
    if positive.size and positive.max() > 10 * positive.min():
        floor = max(positive.min() / 3, positive.max() * 1e-6)
        values = np.maximum(values, floor)
        axes.set_xscale("log")
        _axes.plain_decades(axes.xaxis)
        axes.xaxis.set_minor_locator(NullLocator())
    looks = _axes.layer_looks(len(names))
    for y, (own, look) in enumerate(zip(values, looks, strict=True)):
        low, first, middle, third, high = own[[5, 25, 50, 75, 95]]
        axes.plot([low, high], [y, y], color=look.colour, linewidth=1.0)
        axes.plot([first, third], [y, y], color=look.colour, linewidth=6, solid_capstyle="butt")
        axes.plot(middle, y, "o", color="white", markeredgecolor=look.colour, markersize=4)
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("strength lambda")
    _axes.horizontal(axes)
    _style.figure_heading(
        figure,
        "Strengths of synapses after meta-training",
        "layers from the input down; box: middle half; line: 5 % to 95 %; ring: median",
    )
    return figure


def _short(path: str) -> str:
    """`nodes.2.weight` -> `layer node 2, weight`."""
    parts = [part for part in path.split(".") if part]
    return f"{' '.join(parts[:-1])}, {parts[-1]}" if len(parts) > 1 else path


# Wall time


def wall_time_figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Meta-learning over wall time, where several learners recorded it."""
    own = [row for row in rows if len((row.get("curve") or {}).get("seconds") or ()) > 2]
    return {"meta_learning_time": wall_time(own)} if len(own) > 1 else {}


@styled
def wall_time(rows: Sequence[Row]) -> Any:
    """Metric of meta-training against seconds, all seeds together, compilation included."""
    figure, (axes,) = _style.new_figure(5.6, 3.1)
    labels = [str(row["label"]) for row in rows]
    ends, every = [], []
    for row, label, look in zip(rows, labels, _looks.looks(labels), strict=True):
        curve = row["curve"]
        seconds = np.asarray(curve["seconds"], np.float64)
        low, middle, high = np.quantile(
            np.asarray(curve["meta_metric"], np.float64), [0.25, 0.5, 0.75], axis=1
        )
        axes.plot(seconds, middle, color=look.colour, linestyle=look.dashes)
        axes.fill_between(seconds, low, high, color=look.colour, alpha=0.14, linewidth=0)
        ends.append((_axes.last(middle), label, look))
        every.append(middle)
    values = np.concatenate(every)
    values = values[np.isfinite(values)]
    metric = str((rows[0].get("test") or {}).get("metric", "metric"))
    if metric in ("accuracy", "bit error"):
        _axes.percent(axes.yaxis)
    elif values.size and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
        _few_decades(axes.yaxis, values)
    axes.set_xscale("log")
    _few_decades(axes.xaxis, np.concatenate([row["curve"]["seconds"] for row in rows]))
    axes.set_xlabel("seconds, compilation included")
    title = metric[:1].upper() + metric[1:]
    _style.heading(axes, f"{title} over wall time", "of meta-training; median over seeds")
    _style.label_lines(axes, ends)
    return figure


def _few_decades(axis: Any, values: np.ndarray) -> None:
    """Plain numbers on a logarithmic axis, closer where there are few decades."""
    from matplotlib.ticker import LogLocator

    _axes.plain_decades(axis)
    if values.max() < 1000 * values.min():
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))


# The wheel


@styled
def wheel_regret(entries: Sequence[Row]) -> Any:
    """Regret over trials, in parts of the uniform policy's, a panel for each wheel."""
    radii = entries[0]["data"]["radii"]
    figure, axes = _grid(len(radii), 2, 2.9, 2.1)
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
    figure, axes = _grid(len(entries), 4, 1.5, 1.65)
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


def _grid(count: int, columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure with room for `count` panels; those that are used."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    size = (0.4 + columns * width, 0.9 + rows * height)
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).reshape(-1))
    for own in axes[:count]:
        own.grid(axis="y", color=_style.GRID, linewidth=0.6)
        own.tick_params(length=2.5, width=0.7)
    for own in axes[count:]:
        own.set_axis_off()
    return figure, axes[:count]
