"""What a module says of itself, read from its source through `ast` and without importing it."""

import ast
import functools
from pathlib import Path

from metaplastic._errors import UsageError
from metaplastic._properties import Properties


def parse(path: Path) -> ast.Module:
    """The file's syntax tree. Raises `UsageError` where it cannot be read or does not parse."""
    try:
        stat = path.stat()
        return _parse(path, stat.st_mtime_ns, stat.st_size)
    except SyntaxError as error:
        raise UsageError(f"{path} does not parse: line {error.lineno}, {error.msg}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


@functools.lru_cache(maxsize=512)
def _parse(path: Path, mtime: int, size: int) -> ast.Module:
    del mtime, size  # they are part of the key, so that an edited file is read again
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def summary(path: Path) -> str:
    """The first line of the module's docstring."""
    return (ast.get_docstring(parse(path)) or "").partition("\n")[0]


def defined(path: Path) -> set[str]:
    """Names that the module's body assigns, defines or imports from elsewhere."""
    body = parse(path).body
    found = set(assigned(body))
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            found.update(alias.asname or alias.name for alias in node.names)
    return found


def first_parameter(path: Path, name: str) -> str | None:
    """The first parameter of the function `name`; None where the module's body defines none."""
    for node in parse(path).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return next((own.arg for own in node.args.args), "")
    return None


def classes(path: Path) -> dict[str, dict[str, ast.expr]]:
    """The module's classes, each with the values that its body assigns to plain names."""
    body = parse(path).body
    return {node.name: assigned(node.body) for node in body if isinstance(node, ast.ClassDef)}


def assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Values that are assigned to plain names in a module's or a class's body."""
    values: dict[str, ast.expr] = {}
    for node in body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            values.update(dict.fromkeys(names, node.value))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            values[node.target.id] = node.value
    return values


def properties(path: Path, name: str | None = None) -> Properties | None:
    """The literals of `properties = Properties(...)` in the class `name`, or in the first such.

    None where there are none, or where they are not literals.
    """
    for class_name, values in classes(path).items():
        call = values.get("properties")
        if isinstance(call, ast.Call) and name in (None, class_name):
            try:
                literals = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
                return Properties(**literals)
            except (ValueError, TypeError):
                return None  # only importing the rule would tell
    return None
