"""The public names of a package and what they say of themselves, read from source through `ast`."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metaplastic import _registry

Defining = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Definition:
    """Where a name is defined, and its docstring."""

    name: str
    path: Path
    node: Defining
    doc: str
    """Docstring, or the string below an assignment; "" where there is none."""


@dataclass(frozen=True)
class Public:
    """A name that users may import."""

    full: str
    """`metaplastic.models.mlp`."""
    definition: Definition | None
    """None where it could not be found."""

    @property
    def name(self) -> str:
        return self.full.rpartition(".")[2]


class Package:
    """A package's source, by dotted module names."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.name = folder.name

    def path(self, module: str) -> Path | None:
        """The file of a module, `models.base` or "" for the package itself; None without one."""
        stem = self.folder.joinpath(*module.split(".")) if module else self.folder
        for path in (stem / "__init__.py", stem.with_suffix(".py")):
            if path.is_file():
                return path
        return None

    def public(self, module: str) -> list[Public]:
        """The names that a module offers: what it re-exports as `X as X`, and what it defines."""
        path = self.path(module)
        if path is None:
            raise FileNotFoundError(f"{self.name} has no module {module!r}")
        names = [name for _, name in _reexports(parse(path))]
        if path.name != "__init__.py":
            names += [name for name, own in definitions(path).items() if _is_public(own)]
        prefix = f"{self.name}.{module}" if module else self.name
        return [Public(f"{prefix}.{name}", self.find(module, name)) for name in names]

    def find(self, module: str, name: str) -> Definition | None:
        """Follow a name from a module to its definition."""
        path = self.path(module)
        return None if path is None else self.look_up(path, name)

    def look_up(self, path: Path, name: str) -> Definition | None:
        """Follow a name from a file, of the package or of anybody, to its definition."""
        own = definitions(path).get(name)
        if own is not None:
            return own
        here: list[str] = []
        if path.is_relative_to(self.folder):
            here = list(path.parent.relative_to(self.folder).parts)
        for node, alias in _imports(parse(path)):
            if (alias.asname or alias.name) == name:
                target = self._target(node, here)
                found = None if target is None else self.find(target, alias.name)
                if found is not None:
                    return found
        return None

    def _target(self, node: ast.ImportFrom, here: list[str]) -> str | None:
        parts = (node.module or "").split(".") if node.module else []
        if node.level == 0:
            return ".".join(parts[1:]) if parts[:1] == [self.name] else None
        kept = here[: len(here) - (node.level - 1)]
        return ".".join([*kept, *parts])

    def modules(self) -> list[str]:
        """Modules whose names are documented: packages that re-export, and public modules."""
        found = [""]
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith("_") or path.name in ("cli", "benchmarks"):
                continue
            if path.suffix == ".py":
                found.append(path.stem)
            elif (path / "__init__.py").is_file():
                found += self._inside(path)
        return found

    def _inside(self, folder: Path) -> list[str]:
        if _reexports(parse(folder / "__init__.py")):
            return [folder.name]
        files = [p.stem for p in sorted(folder.glob("*.py")) if not p.stem.startswith("_")]
        if "base" in files:  # a folder of members, which have pages of their own
            kinds = [kind for kind, own in _registry.KINDS.items() if own.folder == folder.name]
            members = {name for kind in kinds for name in _registry.names(kind)}
            files = ["base", *(stem for stem in files if stem not in members | {"base"})]
        return [f"{folder.name}.{stem}" for stem in files]


def _is_public(own: Definition) -> bool:
    """Classes and functions, and the constants of a module that say what they are."""
    constant = isinstance(own.node, ast.Assign | ast.AnnAssign)
    return not own.name.startswith("_") and not (constant and not own.doc)


def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def definitions(path: Path) -> dict[str, Definition]:
    """Classes, functions and constants of a file, by name."""
    found: dict[str, Definition] = {}
    body = parse(path).body
    for node, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = Definition(node.name, path, node, ast.get_docstring(node) or "")
        for name in _targets(node):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            found[name] = Definition(name, path, node, _string(below))
    return found


@dataclass(frozen=True)
class Field:
    """A field of a class, with the string below it."""

    name: str
    annotation: str
    default: str | None
    doc: str
    class_variable: bool


def fields(node: ast.ClassDef) -> list[Field]:
    """The annotated fields of a class, in order."""
    found = []
    for own, below in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(own, ast.AnnAssign) and isinstance(own.target, ast.Name):
            annotation = ast.unparse(own.annotation)
            found.append(
                Field(
                    own.target.id,
                    annotation,
                    _default(own.value),
                    _string(below),
                    "ClassVar" in annotation or "AbstractVar" in annotation,
                )
            )
    return found


def methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    """Public methods that have a docstring of their own."""
    own = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    return [item for item in own if not item.name.startswith("_") and ast.get_docstring(item)]


def signature(node: ast.FunctionDef, *, bound: bool = False) -> str:
    """`(x: Inputs, *, key: Key) -> Outputs` as it is written; `bound` leaves the first out."""
    arguments = ast.parse(ast.unparse(node)).body[0].args  # pyright: ignore[reportAttributeAccessIssue]
    if bound and (arguments.posonlyargs or arguments.args):
        (arguments.posonlyargs or arguments.args).pop(0)
    result = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    return f"({ast.unparse(arguments)}){result}"


def _default(value: ast.expr | None) -> str | None:
    """The default of a field, also where `field(default=...)` holds it."""
    if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("field"):
        given = {k.arg: k.value for k in value.keywords}
        value = given.get("default")
        if value is None and "default_factory" in given:
            return f"{ast.unparse(given['default_factory'])}()"
    return None if value is None else ast.unparse(value)


def _targets(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _string(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(node.value.value) if isinstance(node.value.value, str) else ""
    return ""


def _imports(tree: ast.Module) -> Iterator[tuple[ast.ImportFrom, ast.alias]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node, alias


def _reexports(tree: ast.Module) -> list[tuple[ast.ImportFrom, str]]:
    """`from .x import Y as Y`, also under `if TYPE_CHECKING:`."""
    return [(node, alias.name) for node, alias in _imports(tree) if alias.asname == alias.name]
