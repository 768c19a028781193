"""Compare rules under one protocol, each at its own best learning rate."""

import dataclasses
from typing import Any

from metaplastic import _registry
from metaplastic._errors import UsageError
from metaplastic.cli import _compare_learners, _options, _rule_files, _running
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder
from metaplastic.train.options import TrainOptions

_ABOUT = (
    "Compare rules under one protocol, each at its own best learning rate, with backpropagation "
    "and the frozen-hidden control beside them. RULE is a name or file.py:Name, with options if "
    "you like: pepita:feedback-scale=0.2,mode=hebbian; --rule-file FILE adds a rule that was "
    "discovered. With --task NAME, compare learners, rules within a lifetime, or estimators on "
    "that task; without a RULE all estimators that fit."
)


@dataclasses.dataclass(kw_only=True)
class CompareCommand(TrainOptions, _rule_files.OwnFiles, _options.CommonOptions):
    """Options of `metaplastic compare`."""

    rule_file: tuple[str, ...] = ()
    """Discovered rules to compare: files that `metaplastic meta` wrote, or names of `metaplastic
    list rule-files`. They train as all others do, by the options given here; what their cards say
    of rates, schedule and network is for `train`."""
    lr: float | None = None
    """No option here: the learning rates are `rates`."""
    rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    """Learning rates to choose from, on the validation set; a single one is taken as it is."""
    widen: int = 3
    """How many rates beyond the ends of `rates` a rule may try while its best one lies at an end,
    in the steps of the grid."""
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
        if "--rule-file" in given:
            raise UsageError(
                "--rule-file: a rule file trains a network on --data, not a learner on tasks"
            )
        return _compare_learners.main(names, rest)
    for option in ("rule-file", "own"):
        rest = _rule_files.gather(rest, option)
    options = _options.parse(rest, CompareCommand, command="compare", about=_ABOUT)
    _options.take_name([*names, *options.rule_file], "rule", "compare RULE RULE… [OPTIONS]")
    if options.lr is not None:
        raise UsageError(
            f"--lr {options.lr:g}: each rule has its own best of --rates; for a single rate, "
            f"--rates {options.lr:g}"
        )
    own = _options.part(dataclasses.replace(options, lr=TrainOptions.lr), TrainOptions)
    own.check()
    entrants = _entrants(names, options)
    folder = RunFolder.create(options.out, "compare")

    def work(progress: Progress) -> dict[str, Any]:
        from metaplastic.train.compare import Protocol, compare

        protocol = Protocol(
            options=own,
            rates=tuple(sorted(options.rates)),
            seeds=tuple(range(options.seed, options.seed + options.seeds)),
            grid_seeds=options.grid_seeds,
            grid_epochs=options.grid_epochs,
            widen=options.widen,
        )
        return compare(entrants, protocol, own=options.own, folder=folder, reporter=progress)

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
    for row in result["rules"]:
        if row.get("formula"):
            print(f"{row['rule']}: {row['formula']}")


def _entrants(names: list[str], options: CompareCommand) -> list[tuple[str, str, Any]]:
    """`(label, name, rule)` of those that are named, of rule files, and of the two ends."""
    known = {name.partition(":")[0] for name in names}
    ends = [name for name in ("backprop", "shallow") if options.ends and name not in known]
    files = _rule_files.entrants(options.rule_file, options.own, names)
    return [*map(_entrant, names), *files, *map(_entrant, ends)]


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
