"""The generated pages: one a rule, tables of models, papers and data sets, the API."""

import ast
import re
from pathlib import Path
from typing import Any

from metaplastic import _registry
from metaplastic.report import tables

from . import commands, lifetimes, render, results, sources
from .members import (
    PACKAGE,
    choices,
    equation_of,
    marked_class,
    options_table,
    split_references,
)


def build(docs: Path) -> dict[str, str]:
    """Text of every generated file, by path below the folder of generated files."""
    pages = {f"rules/{name}.md": rule_page(name) for name in _registry.names("rules")}
    for kind in lifetimes.KINDS:
        for name in _registry.names(kind):
            pages[f"{kind}/{name}.md"] = lifetimes.page(kind, name)
    for title, modules in api_groups().items():
        pages[f"api/{title.removeprefix('metaplastic.') or title}.md"] = api_page(title, modules)
    fragments = {
        "properties": property_table(),
        "models": "\n\n".join(map(model_section, _registry.names("models"))),
        "papers": "\n\n".join(map(paper_section, _registry.names("papers"))),
        "datasets": data_table(),
        "commands": commands.table(),
        "options": commands.sections(),
        **{kind: lifetimes.table(kind) for kind in lifetimes.KINDS},
        **results.sections(docs / "results"),
    }
    return pages | {f"fragments/{name}.md": text for name, text in fragments.items()}


# Rules


def property_table() -> str:
    """The table of all rules, whose names lead to their pages."""
    table = tables.property_table()
    rows = [[f"{{doc}}`{row[0]} </generated/rules/{row[0]}>`", *row[1:]] for row in table.rows]
    return render.table(list(table.columns), rows)


def rule_page(name: str) -> str:
    """A rule's page: equation, locality, state, properties, options, reference."""
    entry = _registry.describe("rules", name)
    own = member(name)
    doc, references = split_references(own.doc)
    source = ast.get_docstring(sources.parse(entry.path)) or ""
    first, equation, rest = equation_of(doc)
    spec = name if entry.module else f"./{entry.path.name}"
    properties = tables.properties_of({name: entry.properties})
    facts = [
        list(pair) for pair in zip(properties.columns[1:], properties.rows[0][1:], strict=True)
    ]
    full = f"{entry.module or entry.path.stem}.{own.name}"
    parts = [
        f"# {name}",
        entry.summary,
        render.prose(first),
        render.code(equation) if equation else "",
        render.prose(re.sub(r"\n(?=\*\*\w+:\*\*)", "\n\n", rest)),
        "## What it asks of a synapse",
        render.table(["property", "has it"], facts),
        "## Options",
        options_table(own, "rule"),
        "## Use",
        render.code(f"metaplastic train {spec} --control", "console"),
        render.directive(
            "py:class", full, f"`--help` of `metaplastic train {spec}` says the same."
        ),
        "## Reference",
        render.prose(source.partition("\n\n")[2]),
        "\n\n".join(references),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def member(name: str) -> sources.Definition:
    """The class of a rule, as its source has it."""
    return marked_class(_registry.describe("rules", name).path, "properties")


# Models, papers, data sets


def model_section(name: str) -> str:
    """A model: its docstrings, and its options with their defaults."""
    entry = _registry.describe("models", name)
    own = PACKAGE.look_up(entry.path, entry.spec.partition(":")[2] or name)
    if own is None or not isinstance(own.node, ast.FunctionDef):
        raise LookupError(f"{entry.path} defines no function {name}")
    arguments = own.node.args
    rows = [
        [
            f"`{arg.arg}`",
            choices(ast.unparse(arg.annotation), entry.path),
            f"`{ast.unparse(value)}`",
        ]
        for arg, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if value is not None and arg.annotation is not None
    ]
    public = sources.Public(f"{entry.module or entry.path.stem}.{own.name}", own)
    about = render.prose((ast.get_docstring(sources.parse(entry.path)) or "").partition("\n\n")[2])
    return "\n\n".join(
        [
            f"## {name}",
            entry.summary,
            about,
            render.entry(public),
            render.table(["option", "values", "default"], rows),
        ]
    )


def paper_section(name: str) -> str:
    """A paper: what is cited, its experiments, and the numbers that it reports."""
    paper: Any = _registry.load("papers", name)
    entry = _registry.describe("papers", name)
    experiments = [
        [
            f"`{own.name}`",
            own.title,
            ", ".join(scale for scale in ("quick", "full") if own.arms(scale)),
            own.metric,
            own.protocol,
        ]
        for own in paper.experiments
    ]
    rows = [
        [
            f"`{own.name}`",
            arm.setting,
            getattr(arm, "metric", None) or own.metric,
            ", ".join(f"{rate:g}" for rate in arm.rates),
            f"{arm.reported.value:g}" + (f" ± {arm.reported.std:g}" if arm.reported.std else ""),
            arm.reported.provenance,
            arm.reported.source,
        ]
        for own in paper.experiments
        for arm in own.full
        if arm.reported is not None
    ]
    full = f"{entry.module or entry.path.stem}.PAPER"
    body = f"{paper.authors} ({paper.year}), *{paper.title}*, <{paper.link}>"
    columns = ["experiment", "setting", "metric", "our rates", "reported"]
    columns += ["provenance", "source"]
    return "\n\n".join(
        [
            f"### {name}",
            render.directive("py:data", full, body),
            render.code(f"metaplastic reproduce {name}/EXPERIMENT --scale full", "console"),
            render.table(["experiment", "what", "scales", "metric", "protocol"], experiments),
            render.table(columns, rows) if rows else "",
            f"```bibtex\n{paper.bibtex}\n```",
        ]
    )


def data_table() -> str:
    """The published data sets, with an entry each."""
    rows, entries = [], []
    for name in _registry.names("datasets"):
        about: Any = _registry.load("datasets", name)
        entry = _registry.describe("datasets", name)
        shape = "x".join(map(str, about.shape))
        size = "shipped" if about.shipped else f"{about.size / 1e6:.0f} MB"
        counts = f"{about.train:,} + {about.test:,}"
        rows.append([f"`{name}`", counts, shape, str(about.classes), size, about.licence])
        body = f"{entry.summary} {about.citation} <{about.homepage}>"
        full = f"{entry.module or entry.path.stem}.SOURCE"
        entries.append(render.directive("py:data", full, body))
    columns = ["name", "training + test", "shape", "classes", "download", "licence"]
    return "\n\n".join([render.table(columns, rows), *entries])


# API


def api_groups() -> dict[str, list[str]]:
    """Modules by page: a folder's modules share one."""
    groups: dict[str, list[str]] = {}
    for module in PACKAGE.modules():
        parts = module.split(".")
        folder = PACKAGE.folder.joinpath(parts[0])
        alone = len(parts) == 1 or (folder / "base.py").is_file()
        title = f"metaplastic.{module if alone else parts[0]}".rstrip(".")
        groups.setdefault(title, []).append(module)
    return groups


def api_page(title: str, modules: list[str]) -> str:
    """All public names of some modules, in the order of their source."""
    parts = [f"# {title}"]
    for module in modules:
        path = PACKAGE.path(module)
        assert path is not None
        parts.append(render.prose(ast.get_docstring(sources.parse(path)) or ""))
        parts += [_api_entry(own, module) for own in PACKAGE.public(module)]
    return "\n\n".join(parts) + "\n"


def _api_entry(public: sources.Public, module: str) -> str:
    if public.definition is None:
        return ""  # the check of public names reports it
    if module:
        return render.entry(public)
    inside = public.definition.path.relative_to(PACKAGE.folder).with_suffix("").parts
    return render.entry(public, short=f"Defined in `metaplastic.{'.'.join(inside)}`.")
