"""The command line finds its commands by file and turns failures into one sentence and a status."""

import re
import subprocess
import sys
import types
from importlib.metadata import version

import pytest

from metaplastic._errors import DataError, UsageError
from metaplastic.cli.__main__ import commands, main


def run_fresh(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metaplastic", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def failing(monkeypatch):
    """Make the command `list` raise the given error."""

    def install(error: BaseException) -> None:
        def fail(argv: list[str]) -> int:
            raise error

        module = types.SimpleNamespace(main=fail)
        monkeypatch.setitem(sys.modules, "metaplastic.cli.list", module)

    return install


def test_help_shows_every_command_with_its_line(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert {"list", "data"} <= commands().keys()
    for name, line in commands().items():
        assert line
        assert f"  {name} " in shown
        assert line in shown


@pytest.mark.parametrize("argv", [["--help"], ["list"], ["list", "rules", "--json"], ["data"]])
def test_quick_commands_import_no_jax(argv):
    code = f"import sys, metaplastic.cli.__main__ as m; s = m.main({argv!r})\n"
    code += "sys.exit(s or 'jax' in sys.modules or 'tyro' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_python_dash_m_and_version():
    done = run_fresh("--version")
    assert (done.returncode, done.stdout) == (0, f"metaplastic {version('metaplastic')}\n")


def test_no_command(capsys):
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "usage: metaplastic" in shown.err


def test_unknown_command(capsys):
    assert main(["lsit"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "metaplastic: error: unknown command 'lsit': did you mean 'list'?\n"


@pytest.mark.parametrize(
    ("error", "status"), [(DataError("the cable is cut"), 1), (UsageError("the cable is cut"), 2)]
)
def test_our_errors_are_one_sentence(failing, capsys, error, status):
    failing(error)
    assert main(["list"]) == status
    assert capsys.readouterr().err == "metaplastic: error: the cable is cut\n"


def test_unexpected_error_is_one_line(failing, capsys):
    failing(ZeroDivisionError("by\nzero"))
    assert main(["list"]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert re.search(r"ZeroDivisionError \(test_main\.py, line \d+\): by zero", shown)
    assert "--debug" in shown


def test_debug_shows_the_traceback(failing, capsys):
    failing(DataError("the cable is cut"))
    assert main(["list", "--debug"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("metaplastic: error: the cable is cut\n")


def test_interrupt(failing, capsys):
    failing(KeyboardInterrupt())
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "metaplastic: interrupted\n"


def test_an_interrupted_program_ends_at_once():
    """Whatever the teardown of the interpreter would meet, a thread that compiles for one."""
    code = (
        "import atexit, sys; from metaplastic import __main__ as program; "
        "atexit.register(print, 'torn down'); program.main = lambda: int(sys.argv[1]); "
        "print('said', end=' '); program.run()"
    )
    for status, said in (130, "said "), (1, "said torn down\n"):
        command = [sys.executable, "-c", code, str(status)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (status, said, "")


def test_reader_that_leaves_early():
    command = f"{sys.executable} -m metaplastic list | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit(2), SystemExit(None)])
def test_exits_become_statuses(failing, error):
    failing(error)
    assert main(["list"]) == (error.code or 0)
