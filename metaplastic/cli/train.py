"""Train a network with a rule."""

import dataclasses
from typing import Any

from metaplastic import _registry
from metaplastic.cli import _options, _running
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder
from metaplastic.train.options import TrainOptions

_ABOUT = "Train a network with RULE: a name of `metaplastic list rules`, or your own file.py:Name."


@dataclasses.dataclass(kw_only=True)
class TrainCommand(TrainOptions, _options.CommonOptions):
    """Options of `metaplastic train`."""


def main(argv: list[str]) -> int:
    """`metaplastic train RULE`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], TrainCommand, command="train RULE", about=_ABOUT)
    name, rest = _options.take_name(argv, "rule", "train RULE [OPTIONS]")
    rule_class = _registry.load("rules", name)
    options_type = _options.with_rule(TrainCommand, rule_class)
    options = _options.parse(rest, options_type, command=f"train {name}", about=_ABOUT)
    options.check()
    entry = _registry.describe("rules", name)
    folder = RunFolder.create(options.out, f"train-{entry.name}")
    folder.write_config(
        {"command": "train", "rule": entry.spec, "options": _options.record(options)}
    )
    return _train(folder, entry, options, options)


def resume(folder: RunFolder, config: dict[str, Any], call: _options.CommonOptions) -> int:
    """Continue a run of `metaplastic train` from its last checkpoint."""
    entry = _registry.describe("rules", config["rule"])
    options_type = _options.with_rule(TrainCommand, _registry.load("rules", entry.spec))
    options = _options.restore(config["options"], options_type, command="resume")
    return _train(folder, entry, options, call)


def _train(
    folder: RunFolder, entry: _registry.Entry, options: Any, call: _options.CommonOptions
) -> int:
    def work(folder: RunFolder, progress: Progress) -> dict[str, Any]:
        from metaplastic import train

        fields = {f.name: getattr(options, f.name) for f in dataclasses.fields(TrainOptions)}
        seeds = range(options.seed, options.seed + options.seeds)
        own = TrainOptions(**fields)
        names = {"rule": entry.name, "data": options.data, "model": options.model}
        return names | train.run(options.rule, own, folder, progress, seeds=seeds)

    return _running.run_into(folder, call, work, show)


def show(result: dict[str, Any]) -> None:
    """One line for people."""
    accuracy = result["test_accuracy"]
    spread = f" ± {accuracy['std']:.4f}" if len(accuracy["per_seed"]) > 1 else ""
    print(
        f"{result['rule']} on {result['data']}: test accuracy {accuracy['mean']:.4f}{spread} "
        f"({len(accuracy['per_seed'])} seeds), {result['seconds']:.1f} s"
    )
