"""Finds rules, models, data sets, papers and benchmarks by file; imports them only when asked.

A member of a kind is a file `metaplastic/<folder>/<name>.py`; its name is the file's name. Names
that begin with `_`, and `base`, are not members. Users add their own without editing anything:

- `./mine.py:MyRule` (or `./mine.py`, where it holds only one) works wherever a name does;
- `METAPLASTIC_PLUGINS` names folders laid out like the package (`rules/`, `models/`, `data/`, …),
  or holding rules directly;
- installed packages declare entry points in the groups `metaplastic.rules`, `metaplastic.models`, …

What `metaplastic list` needs is read from the source through `ast`; nothing here imports JAX.
"""

import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from metaplastic import _source
from metaplastic._errors import UsageError, nearest, unknown
from metaplastic._importing import import_file
from metaplastic._properties import Properties

_PACKAGE = Path(__file__).parent
_PATH = re.compile(r"(?P<file>.+\.py)(?::(?P<attribute>\w+))?")
PLUGINS = "METAPLASTIC_PLUGINS"


@dataclass(frozen=True)
class Kind:
    """How the members of a kind are found and loaded; adding a kind is one line of `KINDS`."""

    what: str
    """Its name in messages."""
    folder: str
    """Where its files are, in the package and in a folder of plugins."""
    attribute: str = ""
    """The object of the module that is the member; `{name}` stands for the module's name."""
    base: str = ""
    """Or: the member is the one concrete subclass of this class, `module:Class`."""
    mark: str = ""
    """By what source code shows that it holds a member: with `base`, a class variable; with
    `attribute`, the first parameter of the function, where it matters."""


KINDS = {
    "rules": Kind("rule", "rules", base="metaplastic.rules.base:AbstractRule", mark="properties"),
    "models": Kind("model", "models", attribute="{name}"),
    "learners": Kind("learner", "learners", attribute="{name}", mark="task"),
    "tasks": Kind("task", "tasks", base="metaplastic.tasks.base:AbstractTask", mark="criterion"),
    "estimators": Kind(
        "estimator", "meta", base="metaplastic.meta.base:AbstractMetaGradient", mark="demands"
    ),
    "datasets": Kind("data set", "data", attribute="SOURCE"),
    "papers": Kind("paper", "papers", attribute="PAPER"),
    "benchmarks": Kind("benchmark", "benchmarks", attribute="run"),
}


@dataclass(frozen=True)
class Entry:
    """What is known of a member without importing it."""

    name: str
    path: Path
    summary: str
    """First line of the module's docstring."""
    properties: Properties | None
    """A rule's declarations."""
    module: str | None
    """Dotted name, for members of installed packages."""
    spec: str
    """What finds this member again from any folder: a name, or an absolute `path.py[:Name]`."""


@dataclass(frozen=True)
class _File:
    name: str
    path: Path
    module: str | None = None
    attribute: str | None = None
    portable: bool = False
    """Is the name enough to find it again?"""


def names(kind: str) -> tuple[str, ...]:
    """Names of a kind's members, sorted."""
    files = _files(kind).values()
    return tuple(sorted(file.name for file in files if _is_member(KINDS[kind], file)))


def describe(kind: str, name: str) -> Entry:
    """A member's entry, read from its source. Raises `UsageError` for an unknown name."""
    file = _find(kind, name)
    spec = file.name
    if not file.portable:
        spec = f"{file.path}:{file.attribute}" if file.attribute else str(file.path)
    declared = None
    if KINDS[kind].mark == "properties":
        declared = _source.properties(file.path, file.attribute)
    return Entry(file.name, file.path, _source.summary(file.path), declared, file.module, spec)


def load(kind: str, name: str) -> Any:
    """Import a member and return it: a rule's class, a model's function, a data set's source, …

    Raises `UsageError` for a name that is unknown and for a file that cannot be read, does not
    parse, fails while it is imported, or does not hold exactly one member.
    """
    file = _find(kind, name)
    module = import_file(file.path, file.module)
    if KINDS[kind].base:
        return _one_class(KINDS[kind], file, module)
    attribute = file.attribute or KINDS[kind].attribute.format(name=file.path.stem)
    if not hasattr(module, attribute):
        raise UsageError(f"{file.path} holds no {KINDS[kind].what}: it must define {attribute!r}")
    return getattr(module, attribute)


# Finding files


def _find(kind: str, name: str) -> _File:
    match = _PATH.fullmatch(name)
    if match is None:
        files = _files(kind)
        if name not in files:
            raise unknown(KINDS[kind].what, name, names(kind))
        return files[name]
    path = Path(match["file"]).expanduser().resolve()
    if not path.is_file():
        beside = path.parent.glob("*.py") if path.parent.is_dir() else ()
        raise UsageError(
            f"no file {match['file']!r}: {nearest(path.name, [p.name for p in beside])}"
        )
    return _File(path.stem, path, attribute=match["attribute"])


def _files(kind: str) -> dict[str, _File]:
    found: dict[str, _File] = {}
    for file in _candidates(kind):
        twin = found.setdefault(file.name, file)
        if twin.path != file.path:
            raise UsageError(
                f"two {kind} have the name {file.name!r}, {twin.path} and {file.path}: "
                "rename one of the files"
            )
    return found


def _candidates(kind: str) -> Iterator[_File]:
    folder = KINDS[kind].folder
    for path in _python_files(_PACKAGE / folder):
        module = f"{__package__}.{folder}.{path.stem}"
        yield _File(path.stem, path, module=module, portable=True)
    for plugins in filter(None, os.environ.get(PLUGINS, "").split(os.pathsep)):
        root = Path(plugins).expanduser().resolve()
        if not root.is_dir():
            raise UsageError(
                f"{PLUGINS} names {plugins!r}, which is not a folder: mend or unset it"
            )
        for path in _python_files(root / folder):
            yield _File(path.stem, path)
        if kind == "rules":
            yield from (_File(path.stem, path) for path in _python_files(root))
    yield from _entry_points(f"{__package__}.{kind}")


def _python_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.py"))
    return [path for path in files if not path.stem.startswith("_") and path.stem != "base"]


def _entry_points(group: str) -> Iterator[_File]:
    for point in _installed(tuple(sys.path)).select(group=group):
        path = _module_path(point.module)
        if path is None:
            raise UsageError(
                f"the entry point {point.name!r} of {group} names {point.module!r}, which is not "
                "installed: reinstall or remove its package"
            )
        yield _File(point.name, path, point.module, point.attr or None, portable=True)


@functools.lru_cache(maxsize=1)
def _installed(search_path: tuple[str, ...]) -> Any:
    """All entry points; reading them takes time, so once for a search path."""
    del search_path
    return entry_points()


def _module_path(module: str) -> Path | None:
    """A module's file, without importing the packages that hold it."""
    root, *rest = module.split(".")
    spec = importlib.util.find_spec(root)
    if spec is None or not rest:
        return Path(spec.origin) if spec is not None and spec.origin else None
    for folder in spec.submodule_search_locations or ():
        stem = Path(folder, *rest)
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def _is_member(kind: Kind, file: _File) -> bool:
    """Does the source hold a member? Files beside them may hold what several members share."""
    if file.attribute is not None:
        return True
    try:
        if kind.base:
            return any(kind.mark in values for values in _source.classes(file.path).values())
        name = kind.attribute.format(name=file.path.stem)
        first = _source.first_parameter(file.path, name) if kind.mark else None
        return name in _source.defined(file.path) and first in (None, kind.mark)
    except UsageError:
        return True  # a broken file stays in sight; loading it says what is wrong


def _one_class(kind: Kind, file: _File, module: ModuleType) -> type:
    where, _, base_name = kind.base.partition(":")
    base = getattr(importlib.import_module(where), base_name)
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, base) and not inspect.isabstract(value)
    }
    if file.attribute is not None:
        if file.attribute not in classes:
            raise UsageError(
                f"{file.path} holds no {kind.what} {file.attribute!r} (a subclass of {base_name} "
                f"with all its methods): {nearest(file.attribute, classes)}"
            )
        return classes[file.attribute]
    own = {
        name: value
        for name, value in classes.items()
        if value.__module__ == module.__name__ and not name.startswith(("_", "Abstract"))
    }
    if len(own) == 1:
        return next(iter(own.values()))
    if own:
        options = ", ".join(f"{file.path.name}:{name}" for name in own)
        raise UsageError(f"{file.path} holds several {kind.folder}: say which one, {options}")
    raise UsageError(
        f"{file.path} holds no {kind.what}: it needs a subclass of {base_name} with all its methods"
    )
