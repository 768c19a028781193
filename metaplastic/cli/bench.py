"""Measure speed on this machine, as ratios within one run."""

import dataclasses
import json
import subprocess
import sys
from typing import Any

from metaplastic import _registry
from metaplastic._errors import MetaplasticError
from metaplastic.cli import _options, _output

_LONG = ("compositions",)
"""Take minutes and measure no speed: only when they are named."""
_INSTALL = "pip install 'metaplastic["
"""By which the message of a missing extra is known."""
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
    name = None
    if argv and not argv[0].startswith("-"):
        name, argv = _options.take_name(argv, "benchmark", "bench [NAME]")
    options = _options.parse(argv, BenchCommand, command="bench [NAME]", about=_ABOUT)
    rows = _all() if name is None else _one(name)
    if options.json:
        from metaplastic.report.records import environment

        _output.emit({"rows": rows, "environment": environment()})
    return 0


def _one(name: str) -> list[dict[str, Any]]:
    """One benchmark, with the devices and threads that its file asks for."""
    run = _registry.load("benchmarks", name)
    own = sys.modules[run.__module__]
    from metaplastic._devices import cores, divide_cpu, limit_threads

    divide_cpu(min(cores(), getattr(own, "DEVICES", 1)))
    limit_threads(getattr(own, "THREADS", None))
    rows = [{"benchmark": name, **row} for row in run()]
    for row in rows:
        print(_line(row), flush=True)
    return rows


def _all() -> list[dict[str, Any]]:
    """Each in a process of its own: devices and threads are decided once a process."""
    found = []
    for name in (own for own in _registry.names("benchmarks") if own not in _LONG):
        command = [sys.executable, "-m", "metaplastic", "bench", name, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stderr.strip().rpartition("\n")[2].removeprefix("metaplastic: error: ")
        reason = said or f"exit status {done.returncode}"
        if done.returncode and _INSTALL in reason:
            print(f"{name}: left out ({reason})", flush=True)
            continue
        if done.returncode:
            raise MetaplasticError(f"the benchmark {name} failed: {reason}")
        rows = json.loads(done.stdout)["rows"]
        for row in rows:
            print(_line(row), flush=True)
        found += rows
    return found


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
