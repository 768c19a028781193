"""Compare rules under one protocol, each at its own best learning rate."""

import dataclasses
from typing import Any

from metaplastic import _registry
from metaplastic._errors import UsageError
from metaplastic.cli import _compare_learners, _options, _running
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder
from metaplastic.train.options import TrainOptions

_ABOUT = (
    "Compare rules under one protocol, each at its own best learning rate, with backpropagation "
    "and the frozen-hidden control beside them. RULE is a name or file.py:Name, with options if "
    "you like: pepita:feedback-scale=0.2,mode=hebbian. With --task NAME, compare learners, rules "
    "within a lifetime, or estimators on that task; without a RULE all estimators that fit."
)


@dataclasses.dataclass(kw_only=True)
class CompareCommand(TrainOptions, _options.CommonOptions):
    """Options of `metaplastic compare`."""

    lr: float | None = None
    """No option here: the learning rates are `rates`."""
    rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    """Learning rates to choose from, on the validation set; a single one is taken as it is."""
    grid_seeds: int = 1
    """How many of the seeds choose the rate."""
    grid_epochs: int | None = None
    """Epochs of the runs that choose the rate; all where it is not given."""
    ends: bool = True
    """Add backpropagation and the frozen-hidden control where they are not named."""


def main(argv: list[str]) -> int:
    """`metaplastic compare RULE RULE … [OPTIONS]`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], CompareCommand, command="compare RULE…", about=_ABOUT)
    count = next((i for i, token in enumerate(argv) if token.startswith("-")), len(argv))
    names, rest = argv[:count], argv[count:]
    given = {token.partition("=")[0] for token in rest}
    if "--task" in given or ("--learner" in given and not names):
        return _compare_learners.main(names, rest)
    _, _ = _options.take_name(argv, "rule", "compare RULE RULE… [OPTIONS]")
    options = _options.parse(rest, CompareCommand, command="compare", about=_ABOUT)
    if options.lr is not None:
        raise UsageError(
            f"--lr {options.lr:g}: each rule has its own best of --rates; for a single rate, "
            f"--rates {options.lr:g}"
        )
    own = _options.part(dataclasses.replace(options, lr=TrainOptions.lr), TrainOptions)
    own.check()
    if options.ends:
        known = {name.partition(":")[0] for name in names}
        names += [name for name in ("backprop", "shallow") if name not in known]
    entrants = [_entrant(name) for name in names]
    folder = RunFolder.create(options.out, "compare")

    def work(progress: Progress) -> dict[str, Any]:
        from metaplastic.train.compare import Protocol, compare

        protocol = Protocol(
            options=own,
            rates=tuple(sorted(options.rates)),
            seeds=tuple(range(options.seed, options.seed + options.seeds)),
            grid_seeds=options.grid_seeds,
            grid_epochs=options.grid_epochs,
        )
        return compare(entrants, protocol, folder=folder, reporter=progress)

    return _running.run_into(folder, work, show, quiet=options.quiet, json=options.json)


def resume(folder: RunFolder, progress: Progress) -> dict[str, Any]:
    """Continue a comparison, for `metaplastic resume`."""
    if folder.read_config().get("kind") == "learners":
        from metaplastic.train import meta_compare

        return meta_compare.resume(folder, reporter=progress)
    from metaplastic.train.compare import resume

    return resume(folder, reporter=progress)


def show(result: dict[str, Any]) -> None:
    """The table of a comparison."""
    if "learners" in result:
        return _compare_learners.show(result)
    from metaplastic.report.tables import print_comparison

    print_comparison(result)


def _entrant(text: str) -> tuple[str, str, Any]:
    """`(label, name, rule)` of `NAME` or `NAME:option=value,option=value`."""
    name, colon, given = text.rpartition(":")
    if not colon or "=" not in given:
        name, given = text, ""
    rule_class = _registry.load("rules", name)
    tokens = []
    for pair in filter(None, given.split(",")):
        option, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{text!r}: write the option {option!r} as {option}=value")
        tokens += [f"--{option}", value]
    rule = _options.parse(tokens, rule_class, command=f"compare {name}", about=_ABOUT)
    return text, name, rule
