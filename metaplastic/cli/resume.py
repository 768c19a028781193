"""Continue a run from its last checkpoint."""

import dataclasses
import importlib

from metaplastic._errors import MetaplasticError
from metaplastic.cli import _options, _running
from metaplastic.cli.__main__ import commands
from metaplastic.report.records import RunFolder

_ABOUT = "Continue the run in the folder RUN from its last checkpoint; `--seed` and the like stay."


@dataclasses.dataclass(kw_only=True)
class ResumeCommand:
    """Options of `metaplastic resume`: those of one call; all others are the run's."""

    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print exactly one JSON document on standard output, all else on standard error."""
    debug: bool = False
    """Show the traceback of an error."""


def main(argv: list[str]) -> int:
    """`metaplastic resume RUN`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], ResumeCommand, command="resume RUN", about=_ABOUT)
    path, rest = _options.take_name(argv, "run folder", "resume RUN")
    own = _options.parse(rest, ResumeCommand, command="resume RUN", about=_ABOUT)
    call = _options.CommonOptions(quiet=own.quiet, json=own.json, debug=own.debug)
    with RunFolder.open(path, write=True) as folder:
        config = folder.read_config()
        command = str(config.get("command"))
        module = (
            importlib.import_module(f"metaplastic.cli.{command}") if command in commands() else None
        )
        if not hasattr(module, "resume"):
            raise MetaplasticError(f"{path} is a run of {command!r}, which cannot be resumed")
        result = folder.read_result()
        if result is not None:
            print(f"{path} is done already")
            _running.show_result(result, call, module.show)
            return 0
        return module.resume(folder, config, call)
