"""Pieces of figures that show matrices: symmetric colour scales, colour bars, grids of images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metaplastic.report import _style
from metaplastic.report._looks import MUTED

SIGNED = "RdBu_r"
"""Red is positive, blue negative, white zero."""
POSITIVE = "Greys"
"""White is zero."""
_MANY, _FAR = 400, 5.0
"""From so many values on, those above this multiple of 99 % of them do not set the scale."""


def grid(
    rows: int,
    columns: int,
    *,
    cell: float | int = 1.15,
    heights: Sequence[float | int] | None = None,
) -> tuple[Any, np.ndarray]:
    """A figure with rows x columns axes for images, without ticks."""
    from matplotlib.figure import Figure

    tall = sum(heights) if heights is not None else rows * (cell + 0.18)
    size = (max(0.9 + columns * (cell + 0.12), _style.COLUMN), 0.45 + tall)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
    for own in axes.reshape(-1):
        bare(own)
    return figure, axes


def bare(axes: Any) -> None:
    """No ticks, a thin frame all around."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.5)
        spine.set_color(MUTED)


def show(
    axes: Any,
    matrix: np.ndarray,
    limit: float | int,
    *,
    signed: bool = True,
    extent: tuple[float | int, ...] | None = None,
) -> Any:
    """A matrix as an image, from -limit (or 0) to limit; the image."""
    return axes.imshow(
        np.atleast_2d(matrix).astype(np.float64),
        cmap=SIGNED if signed else POSITIVE,
        vmin=-limit if signed else 0.0,
        vmax=limit,
        aspect="auto",
        interpolation="none",
        extent=extent,
    )


def reach(*arrays: np.ndarray) -> float:
    """The largest magnitude, at which a colour scale ends; 1 where all is zero or not finite.

    Of many values, those far above all others are left out: a synapse that runs away would hide
    the rest.
    """
    values = np.abs(np.concatenate([np.ravel(own) for own in arrays] or [[]]))
    values = values[np.isfinite(values) & (values > 0)]
    if values.size >= _MANY:
        values = values[values <= _FAR * np.quantile(values, 0.99)]
    return float(values.max(initial=0)) or 1.0


def colour_bar(image: Any, axes: Any, label: str = "") -> None:
    """A narrow scale at the right of the axes, with arrows where values lie beyond it."""
    low, high = image.get_clim()
    beyond = np.abs(np.nan_to_num(np.ma.getdata(image.get_array()))).max() > 1.001 * high
    bar = axes[0].figure.colorbar(
        image,
        ax=list(axes),
        fraction=0.06,
        pad=0.015,
        aspect=14,
        extend=("both" if low < 0 else "max") if beyond else "neither",
    )
    bar.ax.tick_params(labelsize=6, length=2, width=0.5)
    bar.outline.set_linewidth(0.4)
    bar.set_ticks([low, 0, high] if low < 0 else [0, high])
    bar.ax.yaxis.set_major_formatter("{x:.2g}")
    if label:
        bar.set_label(label, fontsize=6.5)


def beside(axes: Any, text: str, left: float | int = 5) -> None:
    """A name at the left of the axes."""
    axes.annotate(
        text,
        (0, 0.5),
        xytext=(-left, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=7,
    )


def few() -> Any:
    """Two or three ticks."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=3)


def shape_of(matrix: np.ndarray) -> str:
    """`64 x 40`."""
    return " × ".join(map(str, matrix.shape))
