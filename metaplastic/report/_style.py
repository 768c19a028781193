"""How figures look, and how they are written: type, axes, labels, files.

Only matplotlib's object-oriented interface is used, and never a user's own matplotlib settings.
"""

import functools
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from metaplastic._errors import require_extra
from metaplastic._files import write_atomic
from metaplastic.report._looks import INK, MUTED, Look

GRID = "#dedede"
COLUMN = 3.5
"""Width of a column of text, in inches."""


_RC = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "text.color": INK,
    "text.parse_math": False,  # a run's name may hold dollar signs
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "metaplastic",
    "savefig.dpi": 200,
}


def styled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a function that draws with this module's settings. Raises `MissingExtraError`."""

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with _settings():
            return function(*args, **kwargs)

    return inside


@contextmanager
def _settings() -> Iterator[None]:
    require_extra("matplotlib", "plot")
    import matplotlib.style

    with matplotlib.style.context(["default", _RC]), warnings.catch_warnings():
        # Text stays text in an SVG; what the bundled font lacks, the reader's may have.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float | int, height: float | int, rows: int = 1) -> tuple[Any, list[Any]]:
    """A figure in inches and its axes, one below the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for own in axes:
        own.grid(axis="y", color=GRID, linewidth=0.6)
        own.tick_params(length=2.5, width=0.7)
    return figure, list(axes)


def heading(axes: Any, text: str, note: str = "") -> None:
    """A title at the left, above the axes; it says what the vertical axis shows."""
    axes.set_title(text, loc="left", fontweight="bold", color=INK, pad=14 if note else 6)
    if note:
        axes.annotate(
            note,
            (0, 1),
            xytext=(0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=7,
            color=MUTED,
        )


def figure_heading(figure: Any, text: str, note: str) -> None:
    """A title and a note at the left edge of the figure, for rows whose names take much room."""
    height = figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.36 / height))
    for y, size, weight, colour, line in (
        (0.06, 8.5, "bold", INK, text),
        (0.21, 7, "normal", MUTED, note),
    ):
        artist = figure.text(
            *(0.01, 1 - y / height, line),
            fontsize=size,
            fontweight=weight,
            color=colour,
            va="top",
        )
        artist.set_in_layout(False)


def epoch_axis(axes: Any) -> None:
    """Whole epochs below the axes."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.margins(x=0.02)


def label_lines(
    axes: Any, ends: Sequence[tuple[float, str, Look]], *, points: float | int = 9.5
) -> None:
    """Write names at the right, each beside the end of its line, moved apart where they crowd.

    `ends` holds (y of the line's last point, name, look).
    """
    from matplotlib.lines import Line2D

    ends = [end for end in ends if np.isfinite(end[0])]
    if not ends:
        return
    height = axes.figure.get_figheight() * 72 * 0.8 / len(axes.figure.axes)
    axes.get_ylim()  # settles the limits, on which the transformation depends
    to_axes = axes.transData + axes.transAxes.inverted()
    y = np.asarray([to_axes.transform((0, value))[1] for value, _, _ in ends])
    beside = _points_from_the_right(axes)
    for own, place, (_, name, look) in zip(y, _apart(y, points / height), ends, strict=True):
        leader = Line2D(
            *([1, 6, 15], [own, place, place]),
            transform=beside,
            clip_on=False,
            color=look.colour,
            linestyle=look.dashes,
            linewidth=1.2,
        )
        axes.add_artist(leader)  # not `plot`, which would take part in the limits
        axes.text(18, place, name, transform=beside, va="center", fontsize=7.5)


def _points_from_the_right(axes: Any) -> Any:
    """The transformation of (points right of the axes, fraction of their height)."""
    from matplotlib.transforms import Affine2D, ScaledTranslation, blended_transform_factory

    edge = ScaledTranslation(1, 0, axes.transAxes)
    points = Affine2D().scale(1 / 72) + axes.figure.dpi_scale_trans + edge
    return blended_transform_factory(points, axes.transAxes)


def _apart(y: np.ndarray, gap: float) -> np.ndarray:
    """The positions (0 to 1) nearest to `y`, in least squares, that are `gap` apart."""
    from scipy.optimize import isotonic_regression

    order = np.argsort(y, kind="stable")
    steps = gap * np.arange(len(y))
    crowded = np.asarray(isotonic_regression(y[order] - steps).x)
    places = np.empty(len(y))
    places[order] = np.clip(crowded, 0, max(1 - steps[-1], 0)) + steps
    return places


# Files


@styled
def svg(figure: Any, *, transparent: bool = False) -> str:
    """The figure as SVG; the same figure gives the same text."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing, transparent=transparent)
    return file.getvalue()


@styled
def png(figure: Any) -> bytes:
    """The figure as PNG, 200 dots an inch."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def write(figures: dict[str, Any], folder: Path) -> list[Path]:
    """Write every figure to `folder` as PNG and SVG, each file wholly or not at all."""
    written = []
    for name, figure in figures.items():
        for path, content in {
            folder / f"{name}.png": png(figure),
            folder / f"{name}.svg": svg(figure),
        }.items():
            write_atomic(path, content)
            written.append(path)
    return written


def grid(count: int, columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure with room for `count` panels; those that are used."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    size = (0.4 + columns * width, 0.9 + rows * height)
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).reshape(-1))
    for own in axes[:count]:
        own.grid(axis="y", color=GRID, linewidth=0.6)
        own.tick_params(length=2.5, width=0.7)
    for own in axes[count:]:
        own.set_axis_off()
    return figure, axes[:count]
