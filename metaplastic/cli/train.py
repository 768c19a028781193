"""Train a network with a rule."""

import dataclasses
from typing import Any

from metaplastic import _registry
from metaplastic.cli import _options, _parts, _running
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder
from metaplastic.train.options import TrainOptions

_ABOUT = "Train a network with RULE: a name of `metaplastic list rules`, or your own file.py:Name."


@dataclasses.dataclass(kw_only=True)
class TrainCommand(TrainOptions, _options.CommonOptions):
    """Options of `metaplastic train`."""

    control: bool = False
    """Train the same network with frozen hidden layers too, for comparison."""


def main(argv: list[str]) -> int:
    """`metaplastic train RULE`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], TrainCommand, command="train RULE", about=_ABOUT)
    name, rest = _options.take_name(argv, "rule", "train RULE [OPTIONS]")
    options_type = _parts.with_parts(TrainCommand, {"rule": _registry.load("rules", name)})
    options: Any = _options.parse(rest, options_type, command=f"train {name}", about=_ABOUT)
    own = _options.part(options, TrainOptions)
    own.check()
    folder = RunFolder.create(options.out, f"train-{_registry.describe('rules', name).name}")

    def work(progress: Progress) -> dict[str, Any]:
        from metaplastic import train

        return train.run(
            name,
            options.rule,
            own,
            seed=options.seed,
            seeds=options.seeds,
            control=options.control,
            folder=folder,
            reporter=progress,
        )

    return _running.run_into(folder, work, show, quiet=options.quiet, json=options.json)


def resume(folder: RunFolder, progress: Progress) -> dict[str, Any]:
    """Continue a run of `metaplastic train`, for `metaplastic resume`."""
    from metaplastic import train

    return train.resume(folder, reporter=progress)


def show(result: dict[str, Any]) -> None:
    """The result in a line or two for people."""
    print(f"{result['rule']} on {result['data']}: {_accuracy(result)}, {result['seconds']:.1f} s")
    if result.get("control"):
        print(f"{result['control']['rule']} (the control): {_accuracy(result['control'])}")


def _accuracy(result: dict[str, Any]) -> str:
    accuracy = result["test_accuracy"]
    seeds = len(accuracy["per_seed"])
    if seeds == 1:
        return f"test accuracy {accuracy['mean']:.4f}"
    return f"test accuracy {accuracy['mean']:.4f} ± {accuracy['std']:.4f} ({seeds} seeds)"
