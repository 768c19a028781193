"""The commands and their options, from the docstrings of their files."""

import ast
import dataclasses
import importlib
import inspect
from pathlib import Path
from typing import Any

from metaplastic import _source
from metaplastic.cli.__main__ import commands

from . import render, sources


def table() -> str:
    """The commands, one line each."""
    rows = [[f"[`{name}`](#{name})", line] for name, line in commands().items()]
    return render.table(["command", "does"], rows)


def sections() -> str:
    """A section a command, with its options."""
    return "\n\n".join(_section(name, line) for name, line in commands().items())


def _section(name: str, line: str) -> str:
    module = importlib.import_module(f"metaplastic.cli.{name}")
    doc = inspect.cleandoc(module.__doc__ or "")
    head = f"({name})=\n### metaplastic {name}\n\n{line}"
    if "\nusage:" in doc:
        return f"{head}\n\n{render.code(doc.partition(chr(10) * 2)[2])}"
    usage = inspect.cleandoc(module.main.__doc__ or "").partition("\n")[0]
    own = [
        value
        for key, value in vars(module).items()
        if key.endswith("Command") and dataclasses.is_dataclass(value)
    ]
    options = _options(own[0]) if own else []
    rows = render.table(["option", "type", "default", "meaning"], options) if options else ""
    return "\n\n".join(filter(None, [head, usage, rows]))


def _options(kind: Any) -> list[list[str]]:
    """Rows of a command's options, its own first."""
    rows = []
    for owner in kind.__mro__:
        if dataclasses.is_dataclass(owner):
            rows += [_row(field) for field in _fields(owner) if not field.class_variable]
    return rows


def _fields(owner: Any) -> list[sources.Field]:
    node = next(
        item
        for item in _source.parse(Path(inspect.getfile(owner))).body
        if isinstance(item, ast.ClassDef) and item.name == owner.__name__
    )
    return sources.fields(node)


def _row(field: sources.Field) -> list[str]:
    name = "--" + field.name.replace("_", "-")
    default = "" if field.default in (None, "None") else f"`{field.default}`"
    kind = field.annotation.replace("_options.", "")
    return [f"`{name}`", f"`{kind}`", default, " ".join(render.prose(field.doc).split())]
