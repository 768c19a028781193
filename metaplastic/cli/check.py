"""Try a rule, your own file.py:Name too, on the conformance kit."""

import dataclasses
from typing import Any

from metaplastic import _registry
from metaplastic.cli import _options, _output

_ABOUT = (
    "Try RULE, a name of `metaplastic list rules` or your own file.py:Name, on small networks: "
    "does it keep the promises of a rule? Exit status 1 where a check fails."
)
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
    """`metaplastic check RULE`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], CheckCommand, command="check RULE", about=_ABOUT)
    name, rest = _options.take_name(argv, "rule", "check RULE [--only NAME …]")
    rule: Any = _registry.load("rules", name)
    options_type: Any = CheckCommand
    if any(token.startswith(("--rule.", "--help", "-h")) for token in rest):
        options_type = _options.with_parts(CheckCommand, {"rule": rule})
    options = _options.parse(rest, options_type, command=f"check {name}", about=_ABOUT)
    import jax

    from metaplastic.testing import check_rule

    findings = check_rule(
        getattr(options, "rule", rule),
        only=options.only or None,
        key=jax.random.key(options.seed),
    )
    passed = all(finding.status != "failed" for finding in findings)
    if options.json:
        checks = [dataclasses.asdict(finding) for finding in findings]
        _output.emit({"rule": name, "checks": checks, "passed": passed})
    else:
        _show(name, findings)
    return 0 if passed else 1


def _show(name: str, findings: list[Any]) -> None:
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
    console.print(f"{name}: {told}", markup=False, highlight=False)


def _escape(sentence: str) -> str:
    from rich.markup import escape

    return escape(sentence)
