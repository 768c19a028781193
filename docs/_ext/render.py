"""Definitions as MyST Markdown: directives of Sphinx's Python domain, docstrings inside."""

import ast
import inspect
import re

from . import sources

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def prose(doc: str) -> str:
    """A docstring as Markdown: doctests become fenced, and `<name>` stays text, not HTML."""
    doc = inspect.cleandoc(doc)
    parts, last = [], 0
    for fence in _FENCE.finditer(doc):
        parts += [_prose(doc[last : fence.start()]), fence.group()]
        last = fence.end()
    return "".join([*parts, _prose(doc[last:])]).strip()


def _prose(text: str) -> str:
    paragraphs = re.split(r"\n[ \t]*\n", text)
    return "\n\n".join(
        code(own, "pycon") if own.lstrip().startswith(">>>") else _escaped(own)
        for own in paragraphs
    )


def _escaped(text: str) -> str:
    spans = re.split(r"(`+[^`]*`+)", text)
    return "".join(
        own if own.startswith("`") else re.sub(r"<(?=[A-Za-z/!?])", r"\\<", own) for own in spans
    )


def code(text: str, language: str = "text") -> str:
    """A fenced block."""
    return f"```{language}\n{inspect.cleandoc(text)}\n```"


def directive(kind: str, argument: str, body: str, *, depth: int = 6, **options: str) -> str:
    """A MyST directive; what it holds has fences of fewer backticks."""
    fence = "`" * depth
    lines = [f"{fence}{{{kind}}} {argument}"]
    lines += [f":{name}: {value}" for name, value in options.items()]
    return "\n".join([*lines, "", body.strip(), fence, ""])


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(re.sub(r"(?<!\\)\|", r"\\|", c) for c in cells) + " |"

    return "\n".join([line(columns), line(["---"] * len(columns)), *map(line, rows)])


def entry(public: sources.Public, *, short: str = "") -> str:
    """A public name with its docstring, fields and methods; `short` replaces the latter two."""
    own = public.definition
    assert own is not None
    if isinstance(own.node, ast.ClassDef):
        body = f"{prose(own.doc)}\n\n{short or _members(own.node)}"
        return directive("py:class", public.full + _constructor(own.node), body)
    if isinstance(own.node, ast.FunctionDef):
        body = f"{prose(own.doc)}\n\n{short}"
        return directive("py:function", public.full + sources.signature(own.node), body)
    return directive("py:data", public.full, prose(own.doc))


def _constructor(node: ast.ClassDef) -> str:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return sources.signature(item, bound=True)
    return ""


def _members(node: ast.ClassDef) -> str:
    parts = []
    for field in sources.fields(node):
        if field.doc and not field.name.startswith("_"):
            options = {"type": field.annotation}
            if field.default is not None:
                options["value"] = field.default
            parts.append(
                directive("py:attribute", field.name, prose(field.doc), depth=5, **options)
            )
    for own in sources.methods(node):
        parts.append(_method(own))
    return "\n".join(parts)


def _method(node: ast.FunctionDef) -> str:
    marks = {ast.unparse(own).rpartition(".")[2] for own in node.decorator_list}
    body = prose(ast.get_docstring(node) or "")
    if marks & {"property", "cached_property"}:
        result = {} if node.returns is None else {"type": ast.unparse(node.returns)}
        return directive("py:property", node.name, body, depth=5, **result)
    options = {m: "" for m in ("classmethod", "staticmethod") if m in marks}
    if "abstractmethod" in marks:
        options["abstractmethod"] = ""
    text = node.name + sources.signature(node, bound="staticmethod" not in marks)
    return directive("py:method", text, body, depth=5, **options)
