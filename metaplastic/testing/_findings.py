"""What a check finds, and the table of checks; adding a check is writing one function."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax

from .._errors import MetaplasticError, unknown

Status = Literal["passed", "failed", "skipped"]
"""What became of a check."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str
    """Name of the check."""
    status: Status
    """`skipped`: it does not apply, cannot be measured, or another failure stands before it."""
    sentence: str
    """What was shown; for a failure, what is wrong and how to mend it."""


class ConformanceError(MetaplasticError, AssertionError):
    """A rule, a learner, a task, an estimator or a network fails checks of the kit."""


class Failed(Exception):
    """Raised by a check, with the sentence of its finding."""


class Skipped(Exception):
    """Raised by a check that does not apply, with the reason."""


@dataclass(frozen=True)
class Check:
    """One row of a table of checks."""

    name: str
    run: Callable[[Any], str | None]
    """Of the subject; returns what was shown, where its docstring does not say it."""
    needs: tuple[str, ...]
    """Checks that must have passed, so that one fault is told once."""


Table = dict[str, Check]


def check(
    table: Table, name: str, *, needs: tuple[str, ...] = ()
) -> Callable[[Callable[[Any], str | None]], Callable[[Any], str | None]]:
    """Enter a function in a table of checks; the first line of its docstring is what it shows."""

    def enter(function: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        table[name] = Check(name, function, needs)
        return function

    return enter


def run_checks(
    table: Table, subject: Any, *, only: Iterable[str] | None, path: Path | None
) -> list[Finding]:
    """Findings in the table's order; `path` is the file in which a fault is looked for.

    Raises `UsageError` for an unknown name in `only`.
    """
    wanted = list(table if only is None else only)
    for name in wanted:
        if name not in table:
            raise unknown("check", name, table)
    find = functools.cache(lambda name: _run(table[name], subject, find, path))
    return [find(name) for name in table if name in wanted]


def _run(own: Check, subject: Any, find: Callable[[str], Finding], path: Path | None) -> Finding:
    for name in own.needs:
        before = find(name)
        if before.status != "passed":
            culprit = before.sentence.removeprefix("not checked, since ").partition(" ")[0]
            name = culprit if before.status == "skipped" and culprit else name
            return Finding(own.name, "skipped", f"not checked, since {name} did not pass")
    about = (own.run.__doc__ or own.name).partition("\n")[0].rstrip(".")
    try:
        with jax.enable_x64(True):
            return Finding(own.name, "passed", own.run(subject) or about)
    except Failed as failure:
        return Finding(own.name, "failed", str(failure))
    except Skipped as reason:
        return Finding(own.name, "skipped", str(reason))
    except Exception as error:  # the rule's own; a check must not end the run of the others
        return Finding(own.name, "failed", explain(error, path))


def explain(error: BaseException, path: Path | None) -> str:
    """One sentence about an exception that came out of a rule or a network."""
    line = _line(error, path)
    if isinstance(
        error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError
    ):
        return (
            f"reads a traced value as a Python number, truth or NumPy array{line}, which cannot "
            "be compiled: use jnp functions, jnp.where for `if`, and no float() or .item()"
        )
    if isinstance(error, jax.errors.UnexpectedTracerError):
        return (
            f"keeps a value of one traced step for later{line}: carry it in the state that "
            "`updates` returns, not in an attribute or a global"
        )
    message = " ".join(str(error).split())
    if len(message) > 240:
        message = message[:240] + " …"
    return f"raises {type(error).__name__}{line}: {message}"


def _line(error: BaseException, path: Path | None) -> str:
    """` (file.py, line 3)`: the last line of the file that the error passed through."""
    line, trace = "", error.__traceback__
    while trace is not None:
        if path is not None and trace.tb_frame.f_code.co_filename == str(path):
            line = f" ({path.name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return line
