"""What the pages of members share: their classes, options and references, from the source."""

import ast
import re
from pathlib import Path

from metaplastic import _registry

from . import render, sources

PACKAGE = sources.Package(Path(_registry.__file__).parent)


def marked_class(path: Path, mark: str) -> sources.Definition:
    """The class of a file that assigns the class variable by which members are known."""
    for own in sources.definitions(path).values():
        if isinstance(own.node, ast.ClassDef) and any(
            field.name == mark and field.default is not None for field in sources.fields(own.node)
        ):
            return own
    raise LookupError(f"{path} holds no class that declares `{mark}`")


def split_references(doc: str) -> tuple[str, list[str]]:
    """A docstring without its ```bibtex fences, and the fences."""
    fences = re.findall(r"^```bibtex.*?^```$", doc, re.MULTILINE | re.DOTALL)
    for fence in fences:
        doc = doc.replace(fence, "")
    return doc.strip(), fences


def equation_of(doc: str) -> tuple[str, str, str]:
    """`(first line, equation, the rest)`: the equation is the second paragraph, if it is one."""
    first, _, rest = doc.partition("\n\n")
    second, _, third = rest.partition("\n\n")
    return (first, second, third) if "=" in second else (first, "", rest)


def options_table(own: sources.Definition, part: str) -> str:
    """The fields of a class with their values, defaults and docstrings; `--part.field`."""
    assert isinstance(own.node, ast.ClassDef)
    rows = [
        option_row(part, field.name, field.annotation, field.default, field.doc, own.path)
        for field in sources.fields(own.node)
        if not field.class_variable and not field.name.startswith("_")
    ]
    return render.table(["option", "values", "default", "meaning"], rows) if rows else "None."


def option_row(
    part: str, name: str, annotation: str, default: str | None, doc: str, path: Path
) -> list[str]:
    """A row of a table of options."""
    return [
        f"`--{part}.{name.replace('_', '-')}`",
        choices(annotation, path),
        "" if default in (None, "None") else f"`{default.strip(chr(39))}`",
        " ".join(render.prose(doc).split()),
    ]


def choices(annotation: str, path: Path) -> str:
    """The values that an annotation allows; the names of choices where it has them."""

    def expand(node: ast.expr) -> list[str]:
        if isinstance(node, ast.BinOp):
            return [*expand(node.left), *expand(node.right)]
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return [f"`{ast.literal_eval(own)}`" for own in inside]
        if isinstance(node, ast.Name):
            alias = PACKAGE.look_up(path, node.id)
            value = getattr(alias.node, "value", None) if alias else None
            if value is not None:
                return expand(value)
        return [ast.unparse(node)]

    return ", ".join(expand(ast.parse(annotation, mode="eval").body))
