"""Run a paper's experiments and print our numbers beside the paper's."""

import dataclasses
from typing import Any, Literal

from metaplastic import _registry
from metaplastic._errors import UsageError
from metaplastic.cli import _options, _running
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder

_ABOUT = (
    "Run the experiments of PAPER (`metaplastic list papers`), or the one named after the slash, "
    "and print our numbers beside the paper's."
)


@dataclasses.dataclass(kw_only=True)
class ReproduceCommand:
    """Options of `metaplastic reproduce`."""

    scale: Literal["quick", "full"] = "quick"
    """`quick`: minutes on a laptop, embedded data where possible; `full`: the paper's settings."""
    seed: int = 0
    """The first seed; it decides every random number."""
    seeds: int | None = None
    """How many seeds; the experiment's own number where it is not given."""
    devices: int = 1
    """Devices that share seeds, species or lifetimes. A CPU becomes as many as are asked for."""
    out: _options.Path | None = None
    """Folder of the run; a new one under runs/ by default."""
    config: _options.Path | None = None
    """TOML or JSON file of options; the command line wins."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print exactly one JSON document on standard output, all else on standard error."""
    debug: bool = False
    """Show the traceback of an error."""


def main(argv: list[str]) -> int:
    """`metaplastic reproduce PAPER[/EXPERIMENT] [OPTIONS]`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], ReproduceCommand, command="reproduce PAPER", about=_ABOUT)
    text, rest = _options.take_name(argv, "paper", "reproduce PAPER[/EXPERIMENT] [OPTIONS]")
    options = _options.parse(rest, ReproduceCommand, command=f"reproduce {text}", about=_ABOUT)
    name, experiment = _split(text)
    if options.devices < 1:
        raise UsageError(f"--devices {options.devices}: at least 1 is needed")
    from metaplastic._devices import provide
    from metaplastic.papers import _reproduce

    provide(options.devices)
    _reproduce.choose(_registry.load("papers", name), name, experiment, options.scale)
    folder = RunFolder.create(options.out, f"reproduce-{_registry.describe('papers', name).name}")

    def work(progress: Progress) -> dict[str, Any]:
        return _reproduce.reproduce(
            name,
            options.scale,
            experiment=experiment,
            seed=options.seed,
            seeds=options.seeds,
            devices=options.devices,
            folder=folder,
            reporter=progress,
        )

    return _running.run_into(folder, work, show, quiet=options.quiet, json=options.json)


def resume(folder: RunFolder, progress: Progress) -> dict[str, Any]:
    """Continue a reproduction, for `metaplastic resume`."""
    from metaplastic.papers import _reproduce

    return _reproduce.resume(folder, reporter=progress)


def show(result: dict[str, Any]) -> None:
    """The table of a reproduction."""
    from metaplastic.report.tables import print_reproduction

    print_reproduction(result)


def _split(text: str) -> tuple[str, str | None]:
    """`pepita/fc_mnist` -> `("pepita", "fc_mnist")`; a path of one's own keeps its slashes."""
    head, slash, tail = text.rpartition("/")
    if not slash or ".py" in tail:
        return text, None
    return head, tail
