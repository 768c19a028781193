"""List data sets, fetch the published ones into the cache, and verify what is there.

usage: metaplastic data [list | fetch NAME… | verify [NAME…]] [--json] [--quiet]

  list     data sets, where each would come from, its size and licence (the default)
  fetch    download what is missing or damaged, and check it
  verify   hash the files again; all data sets that are there, unless some are named
  --json   print exactly one JSON document on standard output
  --quiet  no progress
  --debug  show the traceback of an error

`METAPLASTIC_DATA` names a folder of your own `.npz` files, `METAPLASTIC_CACHE` the folder of
downloads, and `METAPLASTIC_OFFLINE=1` forbids downloads.
"""

import dataclasses

from metaplastic._errors import DataError, UsageError, unknown
from metaplastic.cli import _options, _output
from metaplastic.cli._progress import Progress


def main(argv: list[str]) -> int:
    """`metaplastic data ACTION [NAME…]`."""
    words, given = _options.switches(argv, ("quiet",), help=__doc__ or "")
    action, *names = words or ["list"]
    actions = {"list": _list, "fetch": _fetch, "verify": _verify}
    if action not in actions:
        raise unknown("action", action, actions)
    return actions[action](names, given)


def _list(names: list[str], given: set[str]) -> int:
    from metaplastic import data

    if names:
        raise UsageError(f"`data list` takes no names, not {' '.join(names)!r}")
    rows = [{**dataclasses.asdict(row), "path": str(row.path)} for row in data.status()]
    if "json" in given:
        _output.emit({"datasets": rows})
        return 0
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        print(f"{row['name']:{width}}  {row['title']}")
        shape = "x".join(map(str, row["shape"]))
        facts = [
            row["state"],
            f"{row['train']:,} + {row['test']:,} examples of {shape}",
            f"{row['size'] / 1e6:.3g} MB",
            row["licence"],
        ]
        print(f"{'':{width}}  {' · '.join(facts)}")
    return 0


def _fetch(names: list[str], given: set[str]) -> int:
    from metaplastic import data

    if not names:
        raise UsageError(f"name what to fetch: metaplastic data fetch {' '.join(data.names())}")
    for name in names:
        data.source(name)  # unknown names are told before anything is downloaded
    fetched = {}
    with Progress(quiet="quiet" in given) as progress:
        current = None

        def downloaded(file: str, done: int, total: int) -> None:
            nonlocal current
            if file != current:
                progress.begin(total // 1000, unit="kB", title=file)
                current = file
            progress.update(done // 1000)

        for name in names:
            fetched[name] = str(data.fetch(name, progress=downloaded))
    if "json" in given:
        _output.emit({"fetched": fetched})
    else:
        for name, folder in fetched.items():
            print(f"{name}: {folder}")
    return 0


def _verify(names: list[str], given: set[str]) -> int:
    from metaplastic import data

    there = [row.name for row in data.status() if row.state in ("shipped", "cached", "partial")]
    rows = [
        {"name": name, "file": report.file, "state": report.state, "detail": report.detail}
        for name in names or there
        for report in data.verify(name)
    ]
    if "json" in given:
        _output.emit({"files": rows})
    for row in rows:
        print("  ".join(filter(None, [row["name"], row["file"], row["state"], row["detail"]])))
    bad = sorted({row["name"] for row in rows if row["state"] != "ok"})
    if bad:
        raise DataError(
            f"not all there: {', '.join(bad)}; `metaplastic data fetch {' '.join(bad)}` mends it"
        )
    return 0
