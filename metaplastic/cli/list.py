"""Show what there is: rules with their properties, learners, tasks, estimators, papers, data sets.

usage: metaplastic list [KIND] [--json]

  KIND     rules (with the table of their properties), models, learners, tasks, estimators,
           datasets, papers or benchmarks; or rule-files, the discovered rules that come with
           metaplastic
  --json   print exactly one JSON document on standard output
  --debug  show the traceback of an error
"""

import dataclasses
from pathlib import Path
from typing import Any

from metaplastic import _registry
from metaplastic._errors import UsageError, unknown
from metaplastic.cli import _options, _output

_ALIASES = {"data": "datasets"}
_RULE_FILES = "rule-files"


def main(argv: list[str]) -> int:
    """`metaplastic list [KIND]`."""
    kinds, given = _options.switches(argv, (), help=__doc__ or "")
    if len(kinds) > 1:
        raise UsageError(f"one kind at a time, not {' '.join(kinds)!r}")
    if kinds == [_RULE_FILES]:
        return _list_rule_files(json="json" in given)
    wanted = [_kind(kinds[0])] if kinds else list(_registry.KINDS)
    found = {kind: [_row(kind, name) for name in _registry.names(kind)] for kind in wanted}
    if "json" in given:
        _output.emit(found)
        return 0
    for kind, rows in found.items():
        _print_kind(kind, rows, properties=kinds != [] and kind == "rules")
    return 0


def _kind(name: str) -> str:
    name = _ALIASES.get(name, name)
    if name not in _registry.KINDS:
        raise unknown("kind", name, [*_registry.KINDS, _RULE_FILES])
    return name


def _list_rule_files(*, json: bool) -> int:
    """Discovered rules as formulas, each with the command that made it."""
    from metaplastic import rule_file

    cards = {name: rule_file.read(rule_file.find(name)).card for name in rule_file.names()}
    if json:
        _output.emit({_RULE_FILES: [{"name": name, **card} for name, card in cards.items()]})
        return 0
    print("rule files (metaplastic train --rule-file NAME):")
    for name, card in cards.items():
        found = card["meta_training"]
        scores, task = found["scores"], found["design"]["task"]["name"]
        print(f"\n{name}: {scores['metric']} {scores['mean']:.3g} on {task}")
        print(f"  {card['formula']}\n  {found['command']}")
    return 0


def _row(kind: str, name: str) -> dict[str, Any]:
    try:
        entry = _registry.describe(kind, name)
    except UsageError as error:  # a user's broken file is shown with what is wrong with it
        return {"name": name, "summary": str(error)}
    row: dict[str, Any] = {"name": name, "summary": entry.summary}
    if entry.module is None or not entry.module.startswith("metaplastic."):
        row["path"] = str(entry.path)
    if _registry.KINDS[kind].mark == "properties":
        row["properties"] = dataclasses.asdict(entry.properties) if entry.properties else None
    return row


def _print_kind(kind: str, rows: list[dict[str, Any]], *, properties: bool) -> None:
    width = max((len(row["name"]) for row in rows), default=0)
    print(f"{kind}:" if rows else f"{kind}: none")
    for row in rows:
        where = f"  ({Path(row['path'])})" if "path" in row else ""
        print(f"  {row['name']:{width}}  {row['summary']}{where}")
    print()
    if properties and rows:
        _print_properties(rows)


def _print_properties(rows: list[dict[str, Any]]) -> None:
    from metaplastic._properties import Properties
    from metaplastic.report.tables import properties_of

    known = {row["name"]: row.get("properties") for row in rows}
    properties_of({name: Properties(**own) if own else None for name, own in known.items()}).print()
