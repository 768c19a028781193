"""Measure speed on this machine, as ratios within one run."""

import dataclasses

from metaplastic import _registry
from metaplastic._errors import MissingExtraError
from metaplastic.cli import _options, _output

_ABOUT = "Run the benchmark NAME (`metaplastic list benchmarks`), or all of them."


@dataclasses.dataclass(kw_only=True)
class BenchCommand:
    """Options of `metaplastic bench`."""

    json: bool = False
    """Print exactly one JSON document on standard output, all else on standard error."""
    debug: bool = False
    """Show the traceback of an error."""


def main(argv: list[str]) -> int:
    """`metaplastic bench [NAME]`."""
    names = _registry.names("benchmarks")
    if argv and not argv[0].startswith("-"):
        name, argv = _options.take_name(argv, "benchmark", "bench [NAME]")
        names = (name,)
    options = _options.parse(argv, BenchCommand, command="bench [NAME]", about=_ABOUT)
    benchmarks = {name: _registry.load("benchmarks", name) for name in names}
    rows = []
    for name, run in benchmarks.items():
        try:
            found = run()
        except MissingExtraError as missing:
            if len(names) == 1:
                raise
            print(f"{name}: left out ({missing})", flush=True)
            continue
        for row in found:
            rows.append({"benchmark": name, **row})
            print(
                f"{row['comparison']}: {row['ratio']:.2f} "
                f"({row['ratio_min']:.2f} to {row['ratio_max']:.2f}; wanted {row['bar']}), "
                f"{row['ours_ms']:.3g} ms against {row['reference_ms']:.3g} ms",
                flush=True,
            )
    if options.json:
        from metaplastic.report.records import environment

        _output.emit({"rows": rows, "environment": environment()})
    return 0
