"""Measure speed on this machine, as ratios within one run."""

import dataclasses
from typing import Any

from metaplastic import _registry
from metaplastic._errors import MissingExtraError
from metaplastic.cli import _options, _output

_LONG = ("compositions",)
"""Take minutes and measure no speed: only when they are named."""
_ABOUT = (
    "Run the benchmark NAME (`metaplastic list benchmarks`), or all of them but those that take "
    f"minutes ({', '.join(_LONG)})."
)


@dataclasses.dataclass(kw_only=True)
class BenchCommand:
    """Options of `metaplastic bench`."""

    json: bool = False
    """Print exactly one JSON document on standard output, all else on standard error."""
    debug: bool = False
    """Show the traceback of an error."""


def main(argv: list[str]) -> int:
    """`metaplastic bench [NAME]`."""
    names = tuple(own for own in _registry.names("benchmarks") if own not in _LONG)
    if argv and not argv[0].startswith("-"):
        name, argv = _options.take_name(argv, "benchmark", "bench [NAME]")
        names = (name,)
    options = _options.parse(argv, BenchCommand, command="bench [NAME]", about=_ABOUT)
    from metaplastic._devices import cores, divide_cpu

    divide_cpu(min(cores(), 2))  # for the benchmarks that use two devices
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
            print(_line(row), flush=True)
    if options.json:
        from metaplastic.report.records import environment

        _output.emit({"rows": rows, "environment": environment()})
    return 0


def _line(row: dict[str, Any]) -> str:
    """A row for people: a comparison, or a loss before and after."""
    if "sentence" in row:
        return f"{row['comparison']}: {row['sentence']}"
    if "after" in row:
        return f"{row['comparison']}: {row['before']:.4g} -> {row['after']:.4g}"
    unit = "ms" if "ours_ms" in row else "mb"
    ours, reference = row[f"ours_{unit}"], row[f"reference_{unit}"]
    unit = unit.replace("mb", "MB")
    return (
        f"{row['comparison']}: {row['ratio']:.2f} ({row['ratio_min']:.2f} to "
        f"{row['ratio_max']:.2f}; wanted {row['bar']}), {ours:.3g} {unit} against "
        f"{reference:.3g} {unit}"
    )
