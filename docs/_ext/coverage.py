"""The check that no public name is missing from the documentation."""

import ast
from collections.abc import Collection, Iterable
from pathlib import Path

from metaplastic import _registry

from . import pages, sources
from .lifetimes import members_of


def public_names(package: sources.Package) -> list[sources.Public]:
    """Every name that the documented modules of a package offer."""
    return [own for module in package.modules() for own in package.public(module)]


def members() -> list[sources.Public]:
    """Every registered rule, learner, task, estimator, model and paper, as its page has it."""
    found = []
    for kind in ("rules", "learners", "tasks", "estimators"):
        for name in _registry.names(kind):
            found += [
                sources.Public(f"{_module(kind, name)}.{own.name}", own)
                for own in members_of(kind, name)
            ]
    for name in _registry.names("models"):
        own = pages.PACKAGE.look_up(_registry.describe("models", name).path, name)
        found.append(sources.Public(f"{_module('models', name)}.{name}", own))
    for name in _registry.names("papers"):
        path = _registry.describe("papers", name).path
        about = ast.get_docstring(sources.parse(path)) or ""
        own = sources.definitions(path)["PAPER"]
        found.append(
            sources.Public(
                f"{_module('papers', name)}.PAPER",
                sources.Definition("PAPER", path, own.node, about),
            )
        )
    return found


def undocumented(names: Iterable[sources.Public], inventory: Collection[str]) -> list[str]:
    """One sentence for each name that has no docstring or is in none of the built pages."""
    problems = []
    for own in names:
        if own.definition is None:
            problems.append(f"{own.full} is re-exported but defined nowhere: remove the import")
            continue
        where = f"{_short(own.definition.path)}:{own.definition.node.lineno}"
        if not own.definition.doc.strip():
            problems.append(
                f"{own.full} has no docstring: write one, or a string below it ({where})"
            )
        elif own.full not in inventory:
            problems.append(f"{own.full} is on no page: add its module to docs/_ext ({where})")
    return problems


def _module(kind: str, name: str) -> str:
    entry = _registry.describe(kind, name)
    return entry.module or entry.path.stem


def _short(path: Path) -> str:
    folder = pages.PACKAGE.folder.parent
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
