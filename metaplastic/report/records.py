"""Run folders: the record of one run, written by one process and read by anybody.

A run folder holds `config.json` (all that is needed to run it again), `metrics.jsonl` (one record a
line), `result.json`, `checkpoints/`, `figures/`, and `run.lock`, which the writer holds. The lock
belongs to the process: it is gone when the process is, however that ends.
"""

import fcntl
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from metaplastic._errors import MetaplasticError, UsageError, nearest
from metaplastic._files import storage_errors, write_atomic
from metaplastic._json import dumps

SCHEMA = 1
RUNS = Path("runs")
_PACKAGES = ("metaplastic", "jax", "jaxlib", "equinox", "optax", "numpy")


class RunFolder:
    """One run's folder; make it with `create` or `open`, and `close` it (or use `with`)."""

    def __init__(self, path: Path, lock: IO[str] | None):
        self.path = path
        self._lock = lock
        self._created = self._made = False
        """Is the run new, and the folder too?"""

    @classmethod
    def create(cls, out: Path | None, name: str) -> "RunFolder":
        """A new run's folder, locked: `out`, or `runs/<name>-<date-time>[-n]`.

        Raises `UsageError` where `out` holds a run or anything else.
        """
        made = out is None or not out.exists()
        path = _new_folder(name) if out is None else _empty_folder(out)
        folder = cls(path, _lock(path))
        folder._created, folder._made = True, made
        if folder.config_path.exists():  # another writer came and went since we looked
            folder.close()
            raise _holds_a_run(path)
        return folder

    @classmethod
    def open(cls, path: Path | str, *, write: bool = False) -> "RunFolder":
        """The folder of a run that exists; `write` locks it, for `resume`.

        Raises `UsageError` where there is no run, `MetaplasticError` where another writer is.
        """
        path = Path(path)
        if not (path / "config.json").is_file():
            runs = [config.parent for config in path.parent.glob("*/config.json")]
            advice = nearest(path.name, [run.name for run in runs])
            raise UsageError(f"{path} holds no run (no config.json): {advice}")
        return cls(path, _lock(path) if write else None)

    def close(self) -> None:
        """Let the next writer in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def discard_unstarted(self) -> None:
        """Take back what `create` made, if nothing has been recorded but the config.

        So that a run that could not begin, for a mistyped option, leaves nothing behind.
        """
        entries = {entry.name for entry in self.path.iterdir()}
        if not self._created or not entries <= {"config.json", "rule.safetensors", "run.lock"}:
            return
        for name in entries:
            (self.path / name).unlink()
        if self._made:
            self.path.rmdir()
        self.close()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def result_path(self) -> Path:
        return self.path / "result.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write `config.json`, with the schema's version and the environment added."""
        self._write(self.config_path, {"environment": environment(), **config})

    def read_config(self, *required: str) -> dict[str, Any]:
        """The configuration; `MetaplasticError` where one of the `required` keys is missing."""
        config = _read(self.config_path)
        for key in required:
            if key not in config:
                raise MetaplasticError(
                    f"{self.config_path} is damaged (no {key!r}): restore it from a copy"
                )
        return config

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`, with the schema's version added."""
        self._write(self.result_path, result)

    def read_result(self) -> dict[str, Any] | None:
        """The result, or None while the run is not done."""
        return _read(self.result_path) if self.result_path.exists() else None

    def append_metrics(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records to `metrics.jsonl`: all of them, on the disk, or none."""
        lines = "".join(dumps({"schema": SCHEMA, **record}) + "\n" for record in records)
        with (
            storage_errors(self.metrics_path, run=self.path),
            open(self.metrics_path, "ab", buffering=0) as file,
        ):
            size = file.seek(0, os.SEEK_END)
            try:
                _write_all(file, lines.encode())
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise

    def read_metrics(self) -> list[dict[str, Any]]:
        """All whole records; a last line that is still being written is left out."""
        if not self.metrics_path.exists():
            return []
        *lines, _torn = self.metrics_path.read_text(encoding="utf-8").split("\n")
        return [_record(self.metrics_path, i, line) for i, line in enumerate(lines, start=1)]

    def truncate_metrics(self, last: int, *, by: str = "step") -> None:
        """Drop what a resumed run will write again: records with `by` above `last`, a torn line."""
        kept = [record for record in self.read_metrics() if record.get(by, last) <= last]
        lines = "".join(dumps({"schema": SCHEMA, **record}) + "\n" for record in kept)
        write_atomic(self.metrics_path, lines, run=self.path)

    def _write(self, path: Path, document: Mapping[str, Any]) -> None:
        text = dumps({"schema": SCHEMA, **document}, indent=2) + "\n"
        write_atomic(path, text, run=self.path)


def environment() -> dict[str, Any]:
    """Versions, machine and command line: what a config records beside the options."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "versions": versions,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "argv": sys.argv,
    }


def _new_folder(name: str) -> Path:
    safe = re.sub(r"[^\w.-]+", "_", name).strip("_.")
    stem = f"{safe}-{datetime.now():%Y%m%d-%H%M%S}"
    number = 1
    while True:
        path = RUNS / (stem if number == 1 else f"{stem}-{number}")
        with storage_errors(path):
            try:
                path.mkdir(parents=True)
                return path
            except FileExistsError:
                number += 1


def _empty_folder(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise UsageError(f"--out {path} is a file: name a folder")
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        held = {entry.name for entry in path.iterdir()}
    if "config.json" in held:
        raise _holds_a_run(path)
    if held - {"run.lock"}:
        raise UsageError(f"--out {path} holds other files: choose a new or an empty folder")
    return path


def _holds_a_run(path: Path) -> UsageError:
    return UsageError(
        f"--out {path} holds a run already: `metaplastic resume {path}` continues it, "
        "or choose another --out"
    )


def _lock(path: Path) -> IO[str]:
    with storage_errors(path):
        file = open(path / "run.lock", "a+", encoding="utf-8")  # noqa: SIM115, held until close()
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        writer = file.read().strip() or "unknown"
        file.close()
        raise MetaplasticError(
            f"{path} is being written by process {writer}: wait for it to end, "
            "or choose another --out"
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _write_all(file: Any, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MetaplasticError(f"{path} is damaged ({error}): restore it from a copy") from error
    return _without_schema(path, document)


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        return _without_schema(path, json.loads(line))
    except ValueError as error:
        raise MetaplasticError(
            f"{path}, line {number}, is damaged ({error}): delete the line"
        ) from error


def _without_schema(path: Path, document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise MetaplasticError(f"{path} is damaged (no JSON object): restore it from a copy")
    if document.pop("schema", SCHEMA) > SCHEMA:
        raise MetaplasticError(f"{path} was written by a newer metaplastic: upgrade this one")
    return document
