"""Pieces of figures: lines with bands, dots, and axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaplastic.report import _looks, _style
from metaplastic.report._looks import INK, MUTED, Look
from metaplastic.report._series import Series, mean_and_std
from metaplastic.report._style import COLUMN

_PANELS = {
    "test_accuracy": "Test accuracy",
    "train_accuracy": "Training accuracy",
    "loss": "Training loss",
}
_SPIKE = 100.0
"""Ratio to what is usual, from which a point is not shown."""
_LOG_ABOVE = 50.0
"""Ratio of losses from which their axis is logarithmic."""


def one_run(series: Series) -> Any:
    """Training and test of one run: accuracy above, loss below."""
    panels = {
        "Accuracy": {"test": "test_accuracy", "training": "train_accuracy"},
        "Loss": {"test": "test_loss", "training": "loss"},
    }
    panels = {
        title: {label: name for label, name in names.items() if series.has(name)}
        for title, names in panels.items()
    }
    panels = {title: names for title, names in panels.items() if names}
    figure, axes = _style.new_figure(COLUMN, 0.5 + 1.7 * len(panels), len(panels))
    own = _looks.looks([series.rule])[0]
    styles = {"test": Look(own.colour, "solid"), "training": Look(MUTED, (0, (4, 1.5)))}
    for place, (title, names) in zip(axes, panels.items(), strict=True):
        _style.heading(place, title, _spread(series.seeds) if place is axes[0] else "")
        lines = {
            label: band(place, series.epochs, series.values[name], styles[label])
            for label, name in names.items()
        }
        _value_axis(place, title == "Loss", lines.values())
        _style.label_lines(
            place, [(last(mean), label, styles[label]) for label, mean in lines.items()]
        )
    _style.epoch_axis(axes[-1])
    return figure


def several_runs(series: Sequence[Series]) -> Any:
    """Several rules on the same axes, one panel for each quantity that more than one recorded."""
    names = [n for n in _PANELS if sum(own.has(n) for own in series) > 1] or ["test_accuracy"]
    figure, axes = _style.new_figure(5.2, 0.5 + 2.3 * len(names), len(names))
    looks = _looks.looks([own.rule for own in series])
    for place, name in zip(axes, names, strict=True):
        _style.heading(place, _PANELS[name], _spread(series[0].seeds) if place is axes[0] else "")
        ends, lines = [], []
        for own, look in zip(series, looks, strict=True):
            if own.has(name):
                lines.append(band(place, own.epochs, own.values[name], look))
                ends.append((last(lines[-1]), own.label, look))
        _value_axis(place, name == "loss", lines)
        _style.label_lines(place, ends)
    _style.epoch_axis(axes[-1])
    return figure


def _spread(seeds: int) -> str:
    if seeds < 2:
        return "1 seed"
    return f"line: mean of {seeds} seeds; band: one standard deviation"


def band(axes: Any, epochs: np.ndarray, values: np.ndarray, look: Look) -> np.ndarray:
    """Draw the mean [epochs] with a band of one standard deviation, and return it."""
    mean, std = mean_and_std(values)
    marker = "o" if np.isfinite(mean).sum() == 1 else None
    axes.plot(epochs, mean, color=look.colour, linestyle=look.dashes, marker=marker, markersize=3.5)
    if values.shape[1] > 1:
        axes.fill_between(
            epochs, mean - std, mean + std, color=look.colour, alpha=0.16, linewidth=0
        )
    return mean


def last(mean: np.ndarray) -> float:
    """The last finite value; NaN if there is none."""
    finite = mean[np.isfinite(mean)]
    return float(finite[-1]) if finite.size else float("nan")


def layer_looks(count: int) -> list[Look]:
    """Looks of layers in their order, from light to dark; legible on white and on black."""
    import matplotlib

    colours = matplotlib.colormaps["viridis"](np.linspace(0.8, 0.28, count) if count > 1 else [0.5])
    return [Look(f"#{r:02x}{g:02x}{b:02x}", "solid") for r, g, b in _bytes(colours)]


def _bytes(colours: np.ndarray) -> list[list[int]]:
    return (np.asarray(colours)[:, :3] * 255).round().astype(int).tolist()


def some(count: int, most: int) -> set[int]:
    """At most `most` places among `count`, the first and the last included."""
    return set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist())


def _value_axis(axes: Any, loss: bool, lines: Any) -> None:
    if not loss:
        percent(axes.yaxis)
        return
    values = np.concatenate([[], *lines])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() / values.min() > _LOG_ABOVE:
        axes.set_yscale("log")
        plain_decades(axes.yaxis)
    elif values.size and values.min() >= 0:
        axes.set_ylim(bottom=0)


def percent(axis: Any) -> None:
    """Accuracies as percentages."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}%"))


def plain_decades(axis: Any, most: int = 7) -> None:
    """Powers of ten as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(numticks=most))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def cut_spikes(axes: Any, lines: Sequence[np.ndarray]) -> str:
    """End a logarithmic axis above what lines usually reach, where some moment is far above it.

    Meta-steps whose loss explodes are skipped, and say nothing; a note for the heading says so.
    """
    lines = [own[np.isfinite(own)] for own in lines]
    usual = max((float(np.quantile(own, 0.9)) for own in lines if own.size), default=0.0)
    most = max((float(own.max()) for own in lines if own.size), default=0.0)
    if axes.get_yscale() != "log" or most < _SPIKE * usual:
        return ""
    least = min(float(own.min()) for own in lines if own.size)
    axes.set_ylim(0.7 * least, 3 * max([usual, *(float(own[0]) for own in lines if own.size)]))
    return "; spikes are cut off"


def meta_steps(axes: Any) -> None:
    """A few whole meta-steps below the axes."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("meta-step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.02)


def horizontal(axes: Any) -> None:
    """Rows with names at the left: grid lines upright, no ticks beside the names."""
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=_style.GRID, linewidth=0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def rule_of(row: Mapping[str, Any]) -> str:
    """A row's rule, by its registered name where the row holds it."""
    return str(row.get("name") or row["rule"])


def label_of(row: Mapping[str, Any]) -> str:
    """What a row is called in figures."""
    return str(row.get("label") or row["rule"])


def rate_line(axes: Any, row: Mapping[str, Any], look: Look) -> tuple[float, list[float]]:
    """One rule's accuracies over its grid: `(last mean, rates that diverged)`."""
    grid = sorted(row["grid"], key=lambda cell: cell["lr"])
    rates = np.asarray([cell["lr"] for cell in grid], np.float64)
    bad = np.asarray([bool(cell.get("diverged")) for cell in grid])
    mean = np.asarray([cell.get("mean") for cell in grid], np.float64)
    std = np.nan_to_num(np.asarray([cell.get("std") for cell in grid], np.float64))
    mean[bad] = np.nan
    axes.plot(rates, mean, color=look.colour, linestyle=look.dashes, marker="o", markersize=2.5)
    if std.any():
        axes.fill_between(rates, mean - std, mean + std, color=look.colour, alpha=0.14, linewidth=0)
    best = np.flatnonzero(rates == row.get("best_lr"))
    if best.size and np.isfinite(mean[best[0]]):
        axes.plot(rates[best[0]], mean[best[0]], "o", color=look.colour, markersize=5.5, zorder=4)
    return last(mean), rates[bad].tolist()


def rate_axes(axes: Any, rates: Sequence[float]) -> None:
    """Logarithmic rates below, percentages at the left."""
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.3, max(rates) * 1.3)
    plain_decades(axes.xaxis)
    axes.set_xlabel("learning rate")
    percent(axes.yaxis)


def dot(axes: Any, accuracy: Mapping[str, Any], y: int, look: Look) -> None:
    """Mean with its standard deviation, and the seeds behind it."""
    seeds = [value for value in accuracy.get("per_seed") or () if value is not None]
    if len(seeds) > 1:
        axes.plot(
            *(seeds, [y] * len(seeds), "o"),
            markerfacecolor="none",
            markeredgecolor=look.colour,
            markeredgewidth=0.8,
            markersize=4.5,
            alpha=0.7,
        )
    axes.errorbar(
        accuracy["mean"],
        y,
        xerr=accuracy.get("std") or None,
        fmt="o",
        color=look.colour,
        markersize=4.5,
        elinewidth=1.2,
        zorder=4,
    )


def ends_of_the_scale(
    axes: Any, rows: Sequence[Mapping[str, Any]], control: Mapping[str, Any] | None
) -> None:
    """Upright lines at the controls and at backpropagation."""
    shown = [row for row in rows if _looks.canonical(rule_of(row)) == "shallow"]
    best = [row for row in rows if _looks.canonical(rule_of(row)) == "backprop"]
    for row in (*(shown or [control]), *best[-1:]):
        mean = ((row or {}).get("test_accuracy") or {}).get("mean")
        if mean is None:
            continue
        control_line = row not in best
        axes.axvline(
            mean,
            color=MUTED if control_line else INK,
            linewidth=0.9,
            linestyle=(0, (1, 1.2)) if control_line else "solid",
            zorder=1,
        )
        if control_line and not shown:
            axes.text(mean, len(rows) - 0.4, " control", va="top", fontsize=7, color=MUTED)
