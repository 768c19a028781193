"""What a checkpoint holds, written beside it: damage is found before anything is read from it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._files import write_atomic
from .._json import dumps

_FILE = "inventory.json"


def write(folder: Path, leaves: Mapping[str, Any], *, run: Path) -> None:
    """Record the arrays of a checkpoint, and the checksum of every file in its folder."""
    files = {
        str(path.relative_to(folder)): _checksum(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    text = dumps({"leaves": _shapes(leaves), "files": files}) + "\n"
    write_atomic(folder / _FILE, text, run=run)


def complaint(folder: Path, leaves: Mapping[str, Any]) -> str | None:
    """What is wrong with a checkpoint that is to be restored as `leaves`; None where all is well.

    A checkpoint whose writer was killed before it had written the inventory is taken as it is.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        files, held = record["files"], record["leaves"]
    except (ValueError, TypeError, KeyError):
        return f"{_FILE} is damaged"
    for name, checksum in files.items():
        if not (folder / name).is_file():
            return f"its file {name} is missing"
        if _checksum(folder / name) != checksum:
            return f"its file {name} is damaged"
    if held != _shapes(leaves):
        return "it was written for another network or rule"
    return None


def _shapes(leaves: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in leaves.items()}


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
