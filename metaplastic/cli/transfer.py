"""Judge a meta-trained learner under changed designs: longer lifetimes, other sizes and tasks."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaplastic import _registry
from metaplastic.cli import _options, _parts, _running
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder

_ABOUT = (
    "Take what the run of `metaplastic meta` in the folder RUN has learned, put it into a changed "
    "design, and judge it there beside the untrained learner: --task.moments 30, --learner.hidden "
    "40 40, --rule.…, or another task by --task NAME. Without any of these, and with --suite, "
    "under the standard variants that the design has options for. Its own options are the defaults"
)
_KINDS = {"learner": "learners", "rule": "rules", "task": "tasks"}


@dataclasses.dataclass(kw_only=True)
class TransferCommand:
    """Options of `metaplastic transfer`."""

    suite: bool = False
    """Standard variants too: lifetimes 3 and 10 times as long, other widths, depths, activations,
    permuted inputs, other numbers of classes, as far as the design has options for them."""
    fresh: tuple[str, ...] = ()
    """Paths of arrays that are drawn anew where what was learned does not fit."""
    lifetimes: int | None = None
    """Lifetimes of a seed; as many as the run's own test had where it is not given."""
    out: Path | None = None
    """Folder of the run; a new one under runs/ by default."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print exactly one JSON document on standard output, all else on standard error."""
    debug: bool = False
    """Show the traceback of an error."""


def main(argv: list[str]) -> int:
    """`metaplastic transfer RUN`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], TransferCommand, command="transfer RUN", about=_ABOUT)
    path, rest = _options.take_name(argv, "run folder", "transfer RUN [OPTIONS]")
    chosen, rest = _parts.choose_parts(rest, ("task",))
    source = RunFolder.open(path)
    from metaplastic.analysis import transfer_run
    from metaplastic.analysis.trained_run import read_trained

    trained = read_trained(source)
    options, changes = _read(rest, chosen, trained.design, path)
    folder = RunFolder.create(options.out, f"transfer-{Path(path).name}")

    def work(progress: Progress) -> dict[str, Any]:
        return transfer_run.run(
            source,
            trained,
            changes=changes,
            standard=options.suite or not changes,
            lifetimes=options.lifetimes,
            fresh=options.fresh,
            folder=folder,
            reporter=progress,
        )

    return _running.run_into(folder, work, show, quiet=options.quiet, json=options.json)


def resume(folder: RunFolder, progress: Progress) -> dict[str, Any]:
    """Continue a run of `metaplastic transfer`, for `metaplastic resume`."""
    from metaplastic.analysis import transfer_run

    return transfer_run.resume(folder, reporter=progress)


def show(result: dict[str, Any]) -> None:
    """The result as a table for people."""
    from metaplastic.report.studies.transfer import transfer_table

    transfer_table(result).print()


def _read(
    argv: list[str], chosen: Mapping[str, str], design: Any, path: str
) -> tuple[Any, dict[str, Any]]:
    """`(options, changes by option)`; a part's defaults are what the run had."""
    parts = {what: own for what in _KINDS if (own := getattr(design, what)) is not None}
    types = {what: _part_type(what, chosen.get(what, own.name)) for what, own in parts.items()}
    options_type = _parts.with_parts(TransferCommand, types)
    kept = {
        f"{what}.{name}": value
        for what, own in parts.items()
        if what not in chosen
        for name, value in own.fields.items()
    }

    def parse(given: list[str]) -> Any:
        tokens = _options.value_tokens(kept, options_type, given) + given
        return _options.parse(tokens, options_type, command=f"transfer {path}", about=_ABOUT)

    options: Any = parse(argv)
    as_trained, changes = parse([]), {}
    for what in parts:
        fields = _parts.fields(getattr(options, what))
        if what in chosen:
            changes[what] = type(parts[what])(chosen[what], fields)
            continue
        then = _parts.fields(getattr(as_trained, what))
        changes |= {f"{what}.{name}": v for name, v in fields.items() if v != then[name]}
    return options, changes


def _part_type(what: str, name: str) -> type:
    member = _registry.load(_KINDS[what], name)
    if what != "learner":
        return member
    return _parts.signature_class(member, ("task", "rule", "key"))
