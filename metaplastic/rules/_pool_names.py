"""Terms by what a user writes: names, values, sets, and files of one's own."""

import inspect
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .._errors import UsageError, nearest
from .._importing import import_file
from ._pool_terms import SETS, TAYLOR, TERMS, Term

_PATH = re.compile(r"(?P<file>.+\.py)(?::(?P<attribute>\w+))?")


class Named(NamedTuple):
    """A term that a rule asks for."""

    spec: str
    """Its name, or the absolute path of a file of one's own and a name, `path.py:name`."""
    start: float | None
    """The value that its coefficient starts from, where one is given."""

    @property
    def own(self) -> bool:
        """Is it of a file of one's own?"""
        return _PATH.fullmatch(self.spec) is not None

    @property
    def name(self) -> str:
        """Without the file."""
        match = _PATH.fullmatch(self.spec)
        return (match["attribute"] or Path(match["file"]).stem) if match else self.spec


def read_terms(specs: Sequence[str]) -> tuple[Named, ...]:
    """What `NAME`, `NAME=VALUE`, `file.py:NAME` and the names of sets stand for; none is imported.

    Raises `UsageError` for a value that is no number, and for two terms of one name.
    """
    found = [named for spec in specs for named in _read(spec)]
    names = [own.name for own in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--rule.terms names {name} twice: leave one of them out")
    if not found:
        raise UsageError("--rule.terms is empty: name at least one, such as pseudo_gradient")
    return tuple(found)


def absolute(specs: Sequence[str]) -> tuple[str, ...]:
    """The specs with the paths of files of one's own made absolute, so that records find them."""
    specs = (specs,) if isinstance(specs, str) else specs
    return tuple(own if own[:1] == "/" or ".py" not in own else _absolute(own) for own in specs)


def _absolute(spec: str) -> str:
    name, equals, text = spec.partition("=")
    return f"{_read(name)[0].spec}{equals}{text}"


def _read(spec: str) -> list[Named]:
    name, equals, text = spec.partition("=")
    start = _number(text) if equals else None
    if equals and start is None:
        raise UsageError(f"--rule.terms {spec!r}: write NAME or NAME=VALUE, such as ehebb=-0.01")
    if name in SETS:
        return [Named(own, start) for own in SETS[name]]
    if match := _PATH.fullmatch(name):
        path = Path(match["file"]).expanduser().resolve()
        return [Named(f"{path}:{match['attribute'] or path.stem}", start)]
    if name not in TERMS:
        known = [own for own in (*TERMS, *SETS) if own not in TAYLOR]
        raise UsageError(f"unknown term {name!r}: {_nearest(name, known)}")
    return [Named(name, start)]


def _number(text: str) -> float | None:
    """None for what is no finite number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _nearest(name: str, known: Sequence[str]) -> str:
    if re.match(r"x\d+_y\d+_w\d+$", name):
        return "the Taylor terms go from x0_y0_w0 to x2_y2_w2"
    return nearest(name, known)


def load_term(spec: str) -> Term:
    """The term of a spec; a file of one's own is imported.

    Raises `UsageError` where there is no such file or term.
    """
    match = _PATH.fullmatch(spec)
    if match is None:
        return TERMS[spec]
    path = Path(match["file"])
    if not path.is_file():
        beside = [own.name for own in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UsageError(f"no file {match['file']!r}: {nearest(path.name, beside)}")
    module, name = import_file(path), match["attribute"] or path.stem
    there = {own: value for own, value in vars(module).items() if isinstance(value, Term)}
    if name not in there:
        if inspect.isfunction(getattr(module, name, None)):
            raise UsageError(f'{path}: {name} is no term yet: write @term("its formula") above it')
        raise UsageError(f"{path} holds no term {name!r}: {nearest(name, there)}")
    return there[name]
