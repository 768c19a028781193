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
    for group in ("quick", "full", "bench", "meta", "gradients"):
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
    if "learners" in document:
        return meta_gradients(document["learners"])
    if "rules" in document:
        return tables.accuracy_table(document["rules"], title="").markdown()
    if "test_accuracy" in document:
        entries = [document, *filter(None, [document.get("control")])]
        return tables.accuracy_table(entries, title="").markdown()
    if document["rows"] and "estimator" in document["rows"][0]:
        return compositions(document["rows"])
    cells = [_compared(row) for row in document["rows"]]
    return render.table(["comparison", "ratio", "range", "wanted", "ours", "reference"], cells)


def _compared(row: dict[str, Any]) -> list[str]:
    """A row of a benchmark; times or memory, in their units."""
    unit = "ms" if "ours_ms" in row else "mb"
    ours, reference = (row[f"{who}_{unit}"] for who in ("ours", "reference"))
    shown = {"ms": "ms", "mb": "MB"}[unit]
    return [
        row["comparison"],
        f"{row['ratio']:.2f}",
        f"{row['ratio_min']:.2f} to {row['ratio_max']:.2f}",
        str(row["bar"]),
        f"{ours:.3g} {shown}",
        f"{reference:.3g} {shown}",
    ]


def meta_gradients(rows: list[dict[str, Any]]) -> str:
    """Estimators with the error of their meta-gradient, what it costs, and how phases settled."""
    names = ("relative_error", "cosine", "norm_ratio", "milliseconds", "megabytes")
    rows = [row for row in rows if row.get("gradient")]
    cells = [
        [
            f"`{row['label']}`",
            *("" if row["gradient"][n] is None else f"{row['gradient'][n]:.3g}" for n in names),
        ]
        for row in sorted(rows, key=lambda row: row["gradient"]["relative_error"] or 0.0)
    ]
    head = ["estimator", "error", "cosine", "norm ratio", "ms", "MB"]
    return render.table(head, cells)


def compositions(rows: list[dict[str, Any]]) -> str:
    """Rules by estimators: the loss after meta-training, or a number that leads to the reason."""
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    estimators = list(dict.fromkeys(row["estimator"] for row in rows))
    pairs = {(row["rule"], row["estimator"]): row for row in rows}
    reasons = list(dict.fromkeys(row["sentence"] for row in rows if "sentence" in row))

    def cell(row: dict[str, Any]) -> str:
        if "sentence" in row:
            return f"({reasons.index(row['sentence']) + 1})"
        return f"{row['after']:.3g}"

    def before(rule: str) -> str:
        found = [row["before"] for row in rows if row["rule"] == rule and "before" in row]
        return f"{found[0]:.3g}" if found else ""

    cells = [
        [rule, before(rule), *(cell(pairs[rule, own]) for own in estimators)] for rule in rules
    ]
    told = "\n".join(f"{i}. {reason}" for i, reason in enumerate(reasons, 1))
    return render.table(["rule", "before", *estimators], cells) + (f"\n\n{told}" if told else "")
