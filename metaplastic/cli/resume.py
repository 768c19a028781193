"""Continue a run from its last checkpoint."""

import dataclasses
import functools
import importlib
from typing import Any

from metaplastic._errors import MetaplasticError
from metaplastic.cli import _options, _running
from metaplastic.cli.__main__ import commands
from metaplastic.report.records import RunFolder

_ABOUT = "Continue the run in the folder RUN from its last checkpoint, with its own options."


@dataclasses.dataclass(kw_only=True)
class ResumeCommand:
    """Options of `metaplastic resume`; all others are the run's."""

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
    call = _options.parse(rest, ResumeCommand, command="resume RUN", about=_ABOUT)
    with RunFolder.open(path, write=True) as folder:
        command = str(folder.read_config().get("command"))
        module = _module(command)
        if module is None:
            raise MetaplasticError(f"{path} is a run of {command!r}, which cannot be resumed")
        done = folder.result_path.exists()
        return _running.run_into(
            folder,
            lambda progress: module.resume(folder, progress),
            functools.partial(_show, module, folder) if done else module.show,
            quiet=call.quiet,
            json=call.json,
        )


def _show(module: Any, folder: RunFolder, result: dict[str, Any]) -> None:
    """Show a result that was there. Raises `MetaplasticError` for one that somebody has changed."""
    try:
        module.show(result)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise MetaplasticError(
            f"{folder.result_path} is not what this run has written ({error!r}): delete it, and "
            "resume makes it again from the last checkpoint"
        ) from error


def _module(command: str) -> Any:
    """The command's module, if its runs can be resumed: it has `resume` and `show`."""
    if command not in commands():
        return None
    module = importlib.import_module(f"metaplastic.cli.{command}")
    return module if hasattr(module, "resume") else None
