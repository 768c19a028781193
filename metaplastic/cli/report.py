"""Write one self-contained HTML page of runs."""

import dataclasses
from pathlib import Path

from metaplastic.cli import _options, _output

_ABOUT = (
    "Write one self-contained HTML page of the runs in the folders RUN…: results, figures, "
    "configuration, and how to run them again. Runs that were evaluated in different ways are "
    "shown in tables of their own."
)


@dataclasses.dataclass(kw_only=True)
class ReportCommand:
    """Options of `metaplastic report`."""

    out: Path | None = None
    """The page; report.html in the run's folder, or here for several runs, by default."""
    json: bool = False
    """Print exactly one JSON document on standard output, all else on standard error."""
    debug: bool = False
    """Show the traceback of an error."""


def main(argv: list[str]) -> int:
    """`metaplastic report RUN…`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], ReportCommand, command="report RUN…", about=_ABOUT)
    runs, rest = _split(argv)
    options = _options.parse(rest, ReportCommand, command="report RUN…", about=_ABOUT)
    if not runs:
        _options.take_name([], "run folder", "report RUN… [--out PAGE.html]")
    from metaplastic.report.html import write_report

    path = write_report([Path(run) for run in runs], options.out)
    if options.json:
        _output.emit({"report": path, "runs": runs})
    else:
        print(f"report: {path}")
    return 0


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Run folders and options, in whatever order."""
    runs: list[str] = []
    options: list[str] = []
    for before, token in zip(["", *argv], argv, strict=False):
        takes = before == "--out" or token.startswith("--")
        (options if takes else runs).append(token)
    return runs, options
