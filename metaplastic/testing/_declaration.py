"""Checks of what a rule says of itself: its options, its docstring, its properties."""

import ast
import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

from .. import _json, _source
from .._errors import UsageError
from .._properties import Properties
from ._findings import Failed, Skipped, Table, check
from ._subject import Subject

CHECKS: Table = {}


@check(CHECKS, "constructs")
def constructs(subject: Subject) -> None:
    """Made without arguments, the rule is a rule."""
    try:
        subject.rule  # noqa: B018
    except UsageError:
        raise
    except TypeError as error:
        if "missing" in str(error):
            raise Failed(f"needs arguments ({error}): give every field a default") from error
        raise


@check(CHECKS, "fields", needs=("constructs",))
def fields(subject: Subject) -> str | None:
    """Every field is an option: it has a docstring, and a default that JSON can hold."""
    return examine_fields(subject.kind, subject.rule)


def examine_fields(kind: type, member: Any) -> str | None:
    """Raise `Failed` unless the fields of `kind` can be options, with the values of `member`."""
    own = [field for field in dataclasses.fields(kind) if field.init]
    for field in own:
        value = getattr(member, field.name)
        if hasattr(value, "shape") and value.shape != ():
            continue  # learned values are given by meta-learning, not by an option
        try:
            json.dumps(_json.plain(value))
        except (TypeError, ValueError) as error:
            raise Failed(
                f"the field {field.name!r} holds {type(value).__name__}, which no run record can "
                "hold: use numbers, strings, booleans, None or tuples of them"
            ) from error
    texts = _field_texts(kind)
    if texts is None:
        return "every field has a default that JSON can hold; no source to read docstrings from"
    bare = [field.name for field in own if not texts.get(field.name)]
    if bare:
        raise Failed(
            f"the field {bare[0]!r} has no docstring: write a string below it, which --help shows"
        )
    return None


@check(CHECKS, "docstring")
def docstring(subject: Subject) -> None:
    """Docstrings name the paper, the equation, what a synapse reads, the state, a reference."""
    module = inspect.getmodule(subject.kind)
    if not re.search(r"\b(1[89]|20)\d\d\b", (module and module.__doc__) or ""):
        raise Failed(
            "the module's docstring names no paper: write its authors, year and title, or the "
            "year and that it is your own"
        )
    text = vars(subject.kind).get("__doc__") or ""
    prose, *fences = re.split(r"```bibtex", text)
    if not re.search(r"[\w)\]}']\s*(=|<-|←)\s*\S", prose):
        raise Failed("the class's docstring has no equation: write `dW_l = ...` in terms of pre")
    for head in ("Locality", "State"):
        if not re.search(rf"\*\*{head}:\*\*\s*\S", prose):
            what = "what a synapse reads" if head == "Locality" else "what is carried, or `none`"
            raise Failed(f"the class's docstring has no line `**{head}:**`: say {what}")
    if not fences:
        raise Failed("the class's docstring has no ```bibtex fence: add the reference")
    for fence in fences:
        _check_bibtex(fence.partition("```")[0], closed="```" in fence)


@check(CHECKS, "declaration")
def declaration(subject: Subject) -> None:
    """The properties are declared with literals, which `metaplastic list` reads."""
    declared = getattr(subject.kind, "properties", None)
    if not isinstance(declared, Properties):
        raise Failed("declares no properties: add `properties: ClassVar[Properties] = ...`")
    owner = next(kind for kind in subject.kind.__mro__ if "properties" in vars(kind))
    body = _class_body(owner)
    if body is None:
        raise Skipped("the class has no source file to read the declaration from")
    value = _source.assigned(body).get("properties")
    try:
        assert isinstance(value, ast.Call)
        read = Properties(**{k.arg: ast.literal_eval(k.value) for k in value.keywords if k.arg})
    except (AssertionError, ValueError, TypeError) as error:
        raise Failed(
            "its properties cannot be read without importing it: write "
            "`properties: ClassVar[Properties] = Properties(...)` with literals as keywords"
        ) from error
    if read != declared:
        raise Failed("its properties differ from the literals of its source: do not reassign them")


def _class_body(kind: type) -> list[ast.stmt] | None:
    """The statements of a class, wherever in its file it stands."""
    try:
        path, start = Path(inspect.getfile(kind)), inspect.getsourcelines(kind)[1]
    except (TypeError, OSError):
        return None
    for node in ast.walk(_source.parse(path)):
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first <= start <= node.lineno:
                return node.body
    return None


def _field_texts(kind: type) -> dict[str, str] | None:
    """Docstrings of a class's fields, those of its bases included; None without a source."""
    texts: dict[str, str] = {}
    for own in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(own) or own.__module__.startswith("equinox"):
            continue
        body = _class_body(own)
        if body is None:
            return None
        for node, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                texts[node.target.id] = _string(after)
    return texts


def _string(node: Any) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return node.value.value if isinstance(node.value.value, str) else ""
    return ""


def _check_bibtex(text: str, *, closed: bool) -> None:
    """Raise `Failed` unless the text is one entry that holds what a citation needs."""
    if not closed:
        raise Failed("the ```bibtex fence is not closed: end it with ```")
    entry = re.fullmatch(r"\s*@(\w+)\{\s*([^\s,{}]+)\s*,(.*)\}\s*", text, re.DOTALL)
    if entry is None or text.count("{") != text.count("}"):
        raise Failed(
            "the bibtex entry does not parse: write @article{key, title={...}, ...} with balanced "
            "braces"
        )
    names = {name.lower() for name in re.findall(r"(\w+)\s*=\s*[{\"\d]", entry[3])}
    for name in ("title", "author", "year"):
        if name not in names:
            raise Failed(f"the bibtex entry {entry[2]!r} has no {name}: add {name}={{...}}")
