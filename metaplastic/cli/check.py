"""Try a rule, learner, task, estimator or model, your own file.py:NAME too, on its kit."""

import dataclasses
import functools
from typing import Any

from metaplastic import _registry, _source
from metaplastic._errors import UsageError, nearest, unknown
from metaplastic.cli import _options, _output, _parts

_ABOUT = (
    "Try NAME, of `metaplastic list` or your own file.py:NAME, on small problems: does it keep the "
    "promises of a rule, a learner, a task, an estimator or a model? Which of them it is, is found "
    "out. Its options are --rule.…, --learner.…, --task.…, --estimator.… Exit status 1 where a "
    "check fails."
)
_WHAT = "rule, learner, task, estimator or model"
_KINDS = ("rules", "tasks", "estimators", "learners", "models")
"""In this order a name is looked up; classes before functions, which a file's name finds."""
_MARKS = {"passed": "✓", "failed": "✗", "skipped": "–"}


@dataclasses.dataclass(kw_only=True)
class CheckCommand:
    """Options of `metaplastic check`."""

    only: tuple[str, ...] = ()
    """Names of the checks that are wanted; all of them where none is given."""
    seed: int = 0
    """Decides every random number."""
    json: bool = False
    """Print exactly one JSON document on standard output, all else on standard error."""
    debug: bool = False
    """Show the traceback of an error."""


def main(argv: list[str]) -> int:
    """`metaplastic check NAME`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], CheckCommand, command="check NAME", about=_ABOUT)
    name, rest = _options.take_name(argv, _WHAT, "check NAME [--only CHECK …]")
    member = _load(name)
    from metaplastic.rules.pool import Term
    from metaplastic.testing import check_member, kind_of

    if isinstance(member, Term):
        raise UsageError(
            f"{name} is a term of the rule pool, which is not tried by itself: pass it on, check "
            f"pool --rule.terms {name}"
        )
    kind = kind_of(member)
    parts = {}
    if any(token.startswith((f"--{kind}.", "--help", "-h")) for token in rest):
        parts = _part(kind, member)
    options_type: Any = _parts.with_parts(CheckCommand, parts) if parts else CheckCommand
    options = _options.parse(rest, options_type, command=f"check {name}", about=_ABOUT)
    if parts:
        member = _with_options(kind, member, getattr(options, kind))
    import jax

    findings = check_member(member, only=options.only or None, key=jax.random.key(options.seed))
    passed = all(finding.status != "failed" for finding in findings)
    if options.json:
        checks = [dataclasses.asdict(finding) for finding in findings]
        _output.emit({kind: name, "checks": checks, "passed": passed})
    else:
        _show(name, kind, findings)
    return 0 if passed else 1


def _load(name: str) -> Any:
    """The member of any kind. Raises `UsageError` for what none of them is."""
    if ".py" not in name:
        known = {kind: _registry.names(kind) for kind in _KINDS}
        for kind in _KINDS:
            if name in known[kind]:
                return _registry.load(kind, name)
        raise unknown(_WHAT, name, {own for names in known.values() for own in names})
    told = []
    for kind in _KINDS:
        try:
            return _registry.load(kind, name)
        except UsageError as error:
            told.append(str(error))
    if len(set(told)) == 1:
        raise UsageError(told[0])
    for sentence in told:
        if "say which one" in sentence:
            raise UsageError(sentence)
    entry = _registry.describe("rules", name)
    attribute = entry.spec.rpartition(":")[2]
    advice = f"write it as file.py:NAME, or name a function {entry.path.stem!r}"
    if not attribute.endswith(".py"):
        advice = nearest(attribute, _source.defined(entry.path))
    raise UsageError(f"{entry.path} holds no {_WHAT} {attribute!r}: {advice}")


def _part(kind: str, member: Any) -> dict[str, type]:
    """What `--KIND.OPTION` sets: the fields of a class, or the options of a learner's builder."""
    if kind == "learner":
        return {kind: _parts.signature_class(member, ("task", "rule", "key"))}
    return {kind: member} if isinstance(member, type) else {}


def _with_options(kind: str, member: Any, part: Any) -> Any:
    if kind != "learner":
        return part
    fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    return functools.partial(member, **fields)


def _show(name: str, kind: str, findings: list[Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    colours = {"passed": "green", "failed": "red", "skipped": "dim"}
    for finding in findings:
        colour = colours[finding.status]
        table.add_row(
            f"[{colour}]{_MARKS[finding.status]}[/]", finding.check, _escape(finding.sentence)
        )
    console = Console()
    console.width = max(console.width, 100)
    console.print(table)
    counts = {mark: sum(own.status == mark for own in findings) for mark in _MARKS}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    console.print(f"{kind} {name}: {told}", markup=False, highlight=False)


def _escape(sentence: str) -> str:
    from rich.markup import escape

    return escape(sentence)
