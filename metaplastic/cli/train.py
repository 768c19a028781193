"""Train a network with a rule."""

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from typing import Any

from metaplastic import _registry
from metaplastic._errors import UsageError
from metaplastic._rule_card import used_options
from metaplastic.cli import _options, _parts, _rule_files, _running
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder
from metaplastic.train.options import TrainOptions

_ABOUT = (
    "Train a network with RULE: a name of `metaplastic list rules`, or your own file.py:Name. Or "
    "with a rule that was discovered: --rule-file FILE, as `metaplastic meta` writes it, or the "
    "name of one that comes with metaplastic; its options are then those of the file, and learning "
    "rate, batch size and network as in its lifetimes unless you say otherwise"
)
_USAGE = "train RULE [OPTIONS], or train --rule-file FILE [OPTIONS]"
_OF_NETWORKS = ("hidden", "filters", "activation", "bias", "initialiser")
_OF_FILES = {"lr", "optimiser", "schedule", "batch_size", "epochs", *_OF_NETWORKS}
"""Options whose defaults a rule file may set."""


@dataclasses.dataclass(kw_only=True)
class TrainCommand(TrainOptions, _options.CommonOptions):
    """Options of `metaplastic train`."""

    control: bool = False
    """Train the same network with frozen hidden layers too, for comparison."""


@dataclasses.dataclass(kw_only=True)
class RuleFileCommand(TrainCommand, _rule_files.OwnFiles):
    """Options of `metaplastic train --rule-file FILE`."""


def main(argv: list[str]) -> int:
    """`metaplastic train RULE`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], TrainCommand, command="train RULE", about=_ABOUT)
    chosen, rest = _parts.choose_parts(argv, ("rule-file",))
    if chosen:
        name, rule, options = _of_file(chosen["rule-file"], rest)
    else:
        name, rest = _options.take_name(argv, "rule", _USAGE)
        options_type = _parts.with_parts(TrainCommand, {"rule": _registry.load("rules", name)})
        options = _options.parse(rest, options_type, command=f"train {name}", about=_ABOUT)
        rule = options.rule
    own = _options.part(options, TrainOptions)
    own.check()
    shown = name if chosen else _registry.describe("rules", name).name
    folder = RunFolder.create(options.out, f"train-{shown}")

    def work(progress: Progress) -> dict[str, Any]:
        from metaplastic import train

        return train.run(
            name,
            rule,
            own,
            seed=options.seed,
            seeds=options.seeds,
            control=options.control,
            own=getattr(options, "own", ()),
            folder=folder,
            reporter=progress,
        )

    return _running.run_into(folder, work, show, quiet=options.quiet, json=options.json)


def _of_file(path: str, rest: list[str]) -> tuple[str, Any, Any]:
    """`(name, rule, options)` of a rule file; its card says what options are by default."""
    from metaplastic import rule_file

    if rest and not rest[0].startswith("-"):
        raise UsageError(f"{rest[0]} and --rule-file {path}: name a rule, or a rule file")
    file = rule_file.read(rule_file.find(path))
    options_hints = typing.get_type_hints(TrainOptions)
    hints = {name: own for name, own in options_hints.items() if name in _OF_FILES}
    use = used_options(file.card, hints, file.path)
    fields = [
        (name, hints[name], dataclasses.field(kw_only=True, default=value))
        for name, value in use.items()
    ]
    options_type = dataclasses.make_dataclass("Options", fields, bases=(RuleFileCommand,))
    life = file.card.get("meta_training", {}).get("lifetime")
    learned = f", which was learned for lifetimes of {life}" if life else ""
    about = f"Train a network with the rule of {file.path}{learned}"
    rest = _rule_files.gather(rest, "own")
    options = _options.parse(rest, options_type, command=f"train --rule-file {path}", about=about)
    return file.path.stem, rule_file.load(path, own=options.own), _fitting(options, use)


def _fitting(options: Any, use: Mapping[str, Any]) -> Any:
    """The options without what the card says of another model than the one that was chosen."""
    known = inspect.signature(_registry.load("models", options.model)).parameters
    foreign = {
        name: None
        for name, value in use.items()
        if name in _OF_NETWORKS and name not in known and getattr(options, name) == value
    }
    return dataclasses.replace(options, **foreign)


def resume(folder: RunFolder, progress: Progress) -> dict[str, Any]:
    """Continue a run of `metaplastic train`, for `metaplastic resume`."""
    from metaplastic import train

    return train.resume(folder, reporter=progress)


def show(result: dict[str, Any]) -> None:
    """The result in a few lines for people."""
    if result.get("formula"):
        print(result["formula"])
    print(f"{result['rule']} on {result['data']}: {_accuracy(result)}, {result['seconds']:.1f} s")
    if result.get("control"):
        print(f"{result['control']['rule']} (the control): {_accuracy(result['control'])}")


def _accuracy(result: dict[str, Any]) -> str:
    accuracy = result["test_accuracy"]
    seeds = len(accuracy["per_seed"])
    if seeds == 1:
        return f"test accuracy {accuracy['mean']:.4f}"
    return f"test accuracy {accuracy['mean']:.4f} ± {accuracy['std']:.4f} ({seeds} seeds)"
