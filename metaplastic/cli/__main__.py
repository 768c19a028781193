"""`metaplastic COMMAND …`: finds the command's file, runs it, and turns failures into sentences."""

import importlib
import os
import sys
import sysconfig
import traceback
from pathlib import Path

from metaplastic import _source
from metaplastic._errors import MetaplasticError, unknown
from metaplastic.cli import _output


def main(argv: list[str] | None = None) -> int:
    """Run a command; the status is 0 (done), 1 (the run failed) or 2 (wrong usage)."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        status = _dispatch(argv)
        sys.stdout.flush()
        return status
    except SystemExit as stop:  # tyro after --help
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        print("metaplastic: interrupted", file=sys.stderr)
        return _output.INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _explain(error, debug="--debug" in argv)
    finally:
        _output.release_stdout()


def commands() -> dict[str, str]:
    """The commands and their help lines: each is a file beside this one, read but not imported."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {path.stem: _source.summary(path) for path in files if not path.stem.startswith("_")}


def _dispatch(argv: list[str]) -> int:
    if not argv:
        print(_help(), file=sys.stderr)
        return 2
    name, *rest = argv
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name in ("-V", "--version"):
        from metaplastic import __version__

        print(f"metaplastic {__version__}")
        return 0
    known = commands()
    if name not in known:
        raise unknown("command", name, known)
    return importlib.import_module(f"metaplastic.cli.{name}").main(rest)


def _help() -> str:
    known = commands()
    width = max(map(len, known))
    lines = [f"  {name:{width}}  {line}" for name, line in known.items()]
    return "\n".join(
        [
            "usage: metaplastic COMMAND [OPTIONS]",
            "",
            "Biologically plausible learning and the meta-learning of plasticity.",
            "",
            *lines,
            "",
            "`metaplastic COMMAND --help` shows a command's options, `--version` the version.",
        ]
    )


def _explain(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if isinstance(error, MetaplasticError):
        print(f"metaplastic: error: {error}", file=sys.stderr)
        return error.status
    sentence = " ".join(str(error).split())
    if len(sentence) > 300:
        sentence = sentence[:300] + " …"
    again = "" if debug else " (run again with --debug to see where)"
    said = f"{type(error).__name__}{_place(error)}: {sentence}{again}"
    print(f"metaplastic: error: {said}", file=sys.stderr)
    return 1


def _place(error: Exception) -> str:
    """` (mine.py, line 3)`: the last line of a file of one's own that the error passed through."""
    installed = (str(Path(__file__).parents[1]), *sysconfig.get_paths().values())
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_file() and not frame.filename.startswith(installed):
            place = f" ({Path(frame.filename).name}, line {frame.lineno})"
    return place
