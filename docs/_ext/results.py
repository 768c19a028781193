"""Tables of recorded runs, from the documents that `--json` printed: numbers are never copied."""

import json
from pathlib import Path
from typing import Any

from metaplastic.report import tables

from . import render

_NONE = "None is recorded with this version."
_FACTS = ("command", "seeds", "device", "time", "note")


def sections(folder: Path) -> dict[str, str]:
    """Fragments by group: `results/full/a.json` becomes a section of the fragment `full`."""
    groups = {}
    for group in ("quick", "full", "bench"):
        found = [_section(path) for path in sorted((folder / group).glob("*.json"))]
        groups[f"results_{group}"] = "\n\n".join(found) or _NONE
    return groups


def _section(path: Path) -> str:
    """A document of `reproduce`, `compare`, `train` or `bench`, with facts of the run beside it.

    `about` holds `title` and any of command, seeds, device, time and note.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    about = document.get("about", {})
    facts = [f"- {name}: {_fact(name, str(about[name]))}" for name in _FACTS if name in about]
    parts = [f"### {about.get('title', path.stem)}"]
    parts.append("\n".join(facts))
    return "\n\n".join(filter(None, [*parts, rows(document)]))


def _fact(name: str, text: str) -> str:
    return f"`{text}`" if name == "command" else text


def rows(document: dict[str, Any]) -> str:
    """The document's table."""
    if "paper" in document:
        title = f"{document['paper']}, scale {document['scale']}"
        return tables.reproduction_table(document["rows"], title=title).markdown()
    if "rules" in document:
        return tables.accuracy_table(document["rules"], title="").markdown()
    if "test_accuracy" in document:
        entries = [document, *filter(None, [document.get("control")])]
        return tables.accuracy_table(entries, title="").markdown()
    cells = [
        [
            row["comparison"],
            f"{row['ratio']:.2f}",
            f"{row['ratio_min']:.2f} to {row['ratio_max']:.2f}",
            str(row["bar"]),
            f"{row['ours_ms']:.3g}",
            f"{row['reference_ms']:.3g}",
        ]
        for row in document["rows"]
    ]
    return render.table(
        ["comparison", "ratio", "range", "wanted", "ours, ms", "reference, ms"], cells
    )
