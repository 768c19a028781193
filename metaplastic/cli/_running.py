"""What commands share that run something into a run folder."""

import sys
from collections.abc import Callable
from typing import Any

from metaplastic._errors import MetaplasticError
from metaplastic.cli import _output
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder

Work = Callable[[Progress], dict[str, Any]]
Show = Callable[[dict[str, Any]], None]


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
            return 130
        except MetaplasticError:
            folder.discard_unstarted()
            raise
    if json:
        _output.emit(result)
    else:
        show(result)
        print(f"run folder: {folder.path}")
    return 0
