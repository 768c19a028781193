"""What commands share that run something into a run folder."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metaplastic._errors import MetaplasticError, MissingExtraError
from metaplastic.cli import _output
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder

Work = Callable[[Progress], dict[str, Any]]
Show = Callable[[dict[str, Any]], None]
_MOST_FIGURES = 8
"""That are named one by one."""


def run_into(folder: RunFolder, work: Work, show: Show, *, quiet: bool, json: bool) -> int:
    """Do the work, which records itself in the folder; show its result; the exit status.

    An interrupted run says how to continue it; the work has saved its checkpoint by then. A run
    that could not begin leaves no folder behind.
    """
    with folder:
        try:
            with Progress(quiet=quiet) as progress:
                result = work(progress)
        except KeyboardInterrupt:
            print(
                f"metaplastic: interrupted: `metaplastic resume {folder.path}` continues the run",
                file=sys.stderr,
            )
            return _output.INTERRUPTED
        except MetaplasticError:
            folder.discard_unstarted()
            raise
        figures = _draw(folder)
    if json:
        _output.emit(result)
    else:
        show(result)
        _name(figures, folder)
        print(f"run folder: {folder.path}")
    return 0


def _name(figures: list[Path], folder: RunFolder) -> None:
    """A line a figure; of many, how many there are, and where."""
    if len(figures) > _MOST_FIGURES:
        print(f"{len(figures)} figures in {folder.figures}")
        return
    for figure in figures:
        print(f"figure: {figure}")


def _draw(folder: RunFolder) -> list[Path]:
    """The figures of a run as PNG; without matplotlib a sentence says what to install."""
    from metaplastic.report.draw import draw

    try:
        return [path for path in draw(folder) if path.suffix == ".png"]
    except MissingExtraError as missing:
        print(f"no figures: {missing}", file=sys.stderr)
        return []
