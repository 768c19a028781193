"""What commands share that run something into a run folder."""

import sys
from collections.abc import Callable
from typing import Any

from metaplastic.cli import _output
from metaplastic.cli._options import CommonOptions
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder

Work = Callable[[RunFolder, Progress], dict[str, Any]]


def run_into(
    folder: RunFolder, options: CommonOptions, work: Work, show: Callable[[dict[str, Any]], None]
) -> int:
    """Do the work, keep its result in the folder, and show it; the exit status.

    An interrupted run says how to continue it; the work has saved its checkpoint by then.
    """
    with folder:
        try:
            with Progress(quiet=options.quiet) as progress:
                result = {**work(folder, progress), "run": str(folder.path)}
        except KeyboardInterrupt:
            print(
                f"metaplastic: interrupted: `metaplastic resume {folder.path}` continues the run",
                file=sys.stderr,
            )
            return 130
        folder.write_result(result)
    show_result(result, options, show)
    return 0


def show_result(
    result: dict[str, Any], options: CommonOptions, show: Callable[[dict[str, Any]], None]
) -> None:
    """The result as JSON, or for people by `show`."""
    if options.json:
        _output.emit(result)
    else:
        show(result)
        print(f"run folder: {result['run']}")
