"""The pages of learners, tasks and estimators, one each, from their source."""

import ast
import inspect
import re
from collections.abc import Iterator

from metaplastic import _registry

from . import render, sources
from .members import (
    PACKAGE,
    equation_of,
    marked_class,
    option_row,
    options_table,
    split_references,
)

KINDS = ("learners", "tasks", "estimators")
_MARKS = {"rules": "properties", "tasks": "criterion", "estimators": "demands"}
_DEMANDS = {
    "": "any learner",
    "inherits": "a learner that hands its weights on",
    "settles": "a learner whose lifetimes settle to the minimum of a loss",
}


def members_of(kind: str, name: str) -> list[sources.Definition]:
    """What the page of a member documents: its class; of a learner, its builder and its class."""
    path = _registry.describe(kind, name).path
    if kind in _MARKS:
        return [marked_class(path, _MARKS[kind])]
    builder = _builder(name)
    assert isinstance(builder.node, ast.FunctionDef)
    made = ast.unparse(builder.node.returns) if builder.node.returns else ""
    kinds = PACKAGE.look_up(path, made.strip("'\""))
    own = [kinds] if kinds is not None and kinds.path == path else []
    return [builder, *own]


def page(kind: str, name: str) -> str:
    """A member's page: what it is, its options, how it is used, where it comes from."""
    entry = _registry.describe(kind, name)
    own = members_of(kind, name)
    source = ast.get_docstring(sources.parse(entry.path)) or ""
    doc, references = split_references(own[-1].doc)
    first, equation, rest = equation_of(doc)
    module = entry.module or entry.path.stem
    entries = [render.entry(sources.Public(f"{module}.{one.name}", one)) for one in own]
    parts = [
        f"# {name}",
        entry.summary,
        render.prose(source.partition("\n\n")[2]),
        render.prose(first),
        render.code(equation) if equation else "",
        render.prose(rest),
        *_demand(kind, own[0]),
        "## Options",
        _options(kind, own[0]),
        "## Use",
        render.code(_command(kind, name, own[0]), "console"),
        "## Reference",
        *entries,
        *references,
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def table(kind: str) -> str:
    """A kind's members, one line each, which lead to their pages."""
    rows = []
    for name in _registry.names(kind):
        row = [
            f"{{doc}}`{name} </generated/{kind}/{name}>`",
            _registry.describe(kind, name).summary,
        ]
        if kind == "estimators":
            row.append(_DEMANDS.get(demand := _demanded(members_of(kind, name)[0]), f"`{demand}`"))
        rows.append(row)
    columns = ["name", "what", *(["demands"] if kind == "estimators" else [])]
    return render.table(columns, rows)


def _demand(kind: str, own: sources.Definition) -> Iterator[str]:
    if kind == "estimators":
        demand = _demanded(own)
        yield f"**Demands:** {_DEMANDS.get(demand, f'the learner `{demand}`')}."


def _demanded(own: sources.Definition) -> str:
    assert isinstance(own.node, ast.ClassDef)
    (value,) = (field.default for field in sources.fields(own.node) if field.name == "demands")
    return ast.literal_eval(value or "''")


def _builder(name: str) -> sources.Definition:
    entry = _registry.describe("learners", name)
    own = PACKAGE.look_up(entry.path, entry.spec.partition(":")[2] or entry.path.stem)
    if own is None or not isinstance(own.node, ast.FunctionDef):
        raise LookupError(f"{entry.path} defines no function {name}")
    return own


def _options(kind: str, own: sources.Definition) -> str:
    if kind != "learners":
        return options_table(own, kind.removesuffix("s"))
    assert isinstance(own.node, ast.FunctionDef)
    arguments = own.node.args
    texts = _arguments(own.doc)
    rows = [
        option_row(
            "learner",
            arg.arg,
            ast.unparse(arg.annotation) if arg.annotation else "",
            None if value is None else ast.unparse(value),
            texts.get(arg.arg, ""),
            own.path,
        )
        for arg, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if arg.arg not in ("key", "rule")
    ]
    return render.table(["option", "values", "default", "meaning"], rows) if rows else "None."


def _arguments(doc: str) -> dict[str, str]:
    """The lines of a docstring's `Args:` section, by name."""
    section = inspect.cleandoc(doc).partition("Args:")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _command(kind: str, name: str, own: sources.Definition) -> str:
    if kind == "learners":
        assert isinstance(own.node, ast.FunctionDef)
        rule = any(arg.arg == "rule" for arg in own.node.args.kwonlyargs)
        return f"metaplastic meta {name} --task TASK" + (" --rule RULE" if rule else "")
    if kind == "tasks":
        return f"metaplastic meta LEARNER --task {name}"
    demand = _demanded(own)
    learner = demand if demand in _registry.names("learners") else "LEARNER"
    return f"metaplastic meta {learner} --task TASK --estimator {name}"
