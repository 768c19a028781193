"""Options that commands share, and their parsing: command line over `--config` file over defaults.

An options type is a dataclass whose fields have a docstring each; `_parts` adds those of a rule, a
task or a learner.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import re
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from metaplastic._errors import UsageError, nearest, unknown
from metaplastic.cli import _output
from metaplastic.cli._numbers import require_numbers

Options = TypeVar("Options")


@dataclasses.dataclass(kw_only=True)
class CommonOptions:
    """What every command that runs something understands."""

    seed: int = 0
    """The first seed; it decides every random number."""
    seeds: int = 1
    """How many seeds, from `seed` on, are run and averaged."""
    out: Path | None = None
    """Folder of the run; a new one under runs/ by default."""
    config: Path | None = None
    """TOML or JSON file of options (`rule.feedback_scale = 0.2`); the command line wins."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print exactly one JSON document on standard output, all else on standard error."""
    debug: bool = False
    """Show the traceback of an error."""


def parse(argv: list[str], options_type: type[Options], *, command: str, about: str) -> Options:
    """The options of `metaplastic COMMAND`. Raises `UsageError` with the nearest valid one.

    `--help` prints the help and raises `SystemExit`.
    """
    known = option_types(options_type)
    for token in argv:
        if token.startswith("--") and token != "--help" and _key(token, known) not in known:
            raise UsageError(f"unknown option {token!r}: {_nearest_option(token, known)}")
    argv = _config_tokens(argv, known) + argv
    for option, value in itertools.pairwise([*argv, "--"]):
        if option == "--out=" or (option == "--out" and not value):
            raise UsageError("--out '': name a folder")
    require_numbers(argv, lambda option: known.get(_key(option, known)))
    options = _tyro(argv, options_type, command, about)
    seeds = getattr(options, "seeds", None)
    if seeds is not None and seeds < 1:
        raise UsageError(f"--seeds {seeds}: at least 1 is needed")
    if getattr(options, "json", False):
        _output.reserve_stdout()
    return options


def switches(argv: list[str], known: tuple[str, ...], *, help: str) -> tuple[list[str], set[str]]:
    """Names and switches of a command that has nothing else and must answer at once (no tyro).

    Prints `help` and raises `SystemExit` when asked; raises `UsageError` for an unknown switch.
    """
    options = {f"--{name}" for name in (*known, "json", "debug")}
    given = {token for token in argv if token.startswith("-")}
    if given & {"-h", "--help"}:
        print(help.strip())
        raise SystemExit(0)
    for token in given - options:
        raise UsageError(f"unknown option {token!r}: {nearest(token, options)}")
    if "--json" in given:
        _output.reserve_stdout()
    return [t for t in argv if t not in given], {token.removeprefix("--") for token in given}


def part(options: Any, options_type: type[Options]) -> Options:
    """The fields of `options_type` out of the options of a command that inherits them."""
    names = [field.name for field in dataclasses.fields(options_type)]  # pyright: ignore[reportArgumentType]
    return options_type(**{name: getattr(options, name) for name in names})


def take_name(argv: list[str], what: str, usage: str) -> tuple[str, list[str]]:
    """Split the leading name (of a rule, a paper, …) off the arguments."""
    if not argv or argv[0].startswith("-"):
        raise UsageError(f"no {what} given: metaplastic {usage}")
    return argv[0], argv[1:]


def wants_help(argv: list[str]) -> bool:
    """Is help asked for before any name is given?"""
    return bool(argv) and argv[0] in ("-h", "--help")


def option_types(options_type: type, prefix: str = "") -> dict[str, Any]:
    """Types of the options by key, `rule.feedback_scale`."""
    hints = typing.get_type_hints(options_type)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(options_type):
        hint = hints.get(field.name, field.type)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            found |= option_types(hint, f"{prefix}{field.name}.")
        elif field.init:
            found[prefix + field.name] = hint
    return found


def _key(token: str, known: Mapping[str, Any]) -> str:
    """`--rule.feedback-scale=0.2` -> `rule.feedback_scale`; `--no-json` -> `json`."""
    key = token.removeprefix("--").partition("=")[0].replace("-", "_")
    positive = re.sub(r"(^|\.)no_(?=\w+$)", r"\1", key)
    return positive if key not in known and known.get(positive) is bool else key


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")


def _nearest_option(token: str, known: Mapping[str, Any]) -> str:
    """The nearest option; also one whose last part is the same, as `--feedback-scale`."""
    key = _key(token, known)
    for candidate in known:
        if candidate.rpartition(".")[2] == key:
            return f"did you mean {_option(candidate)!r}?"
    return nearest(_option(key), map(_option, known))


def _config_tokens(argv: list[str], known: Mapping[str, Any]) -> list[str]:
    """The config file as command-line tokens, less what the command line itself sets."""
    path = config_path(argv) if "config" in known else None
    if path is None:
        return []
    given = {_key(token, known) for token in argv if token.startswith("--")}
    tokens = []
    for name, value in read_config(path).items():
        key = name.replace("-", "_")
        if (
            key.endswith(".name")
            and key not in known
            and any(other.startswith(key.removesuffix("name")) for other in known)
        ):
            continue  # which member a part is: `choose_parts` has read it
        if key not in known or key == "config":
            raise UsageError(
                f"unknown option {name!r} in {path}: {nearest(key, known.keys() - {'config'})}"
            )
        if key not in given:
            tokens += _tokens(key, value, known[key])
    return tokens


def config_path(argv: list[str]) -> Path | None:
    for i, token in enumerate(argv):
        if token.startswith("--config="):
            return Path(token.partition("=")[2])
        if token == "--config" and i + 1 < len(argv):
            return Path(argv[i + 1])
    return None


def read_config(path: Path) -> dict[str, Any]:
    """The options of a file by key, `rule.feedback_scale`."""
    if path.suffix not in (".toml", ".json"):
        raise UsageError(f"--config {path}: name a .toml or a .json file")
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"--config {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--config {path} does not parse: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"--config {path}: the file must hold option names and values")
    return _flat(document)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def value_tokens(values: Mapping[str, Any], options_type: type, argv: list[str]) -> list[str]:
    """Values by option, `task.moments`, as command-line tokens, less what `argv` itself sets."""
    known = option_types(options_type)
    given = {_key(token, known) for token in argv if token.startswith("--")}
    return [
        token
        for key, value in values.items()
        if key in known and key not in given
        for token in _tokens(key, list(value) if isinstance(value, tuple) else value, known[key])
    ]


def _tokens(key: str, value: Any, hint: Any) -> list[str]:
    if hint is bool and isinstance(value, bool):
        stem, dot, leaf = key.rpartition(".")
        return [_option(key if value else f"{stem}{dot}no_{leaf}")]
    values = value if isinstance(value, list) else [value]
    return [_option(key), *map(str, values)]


def _tyro(argv: list[str], options_type: type[Options], command: str, about: str) -> Options:
    """Run tyro, and turn its boxed complaint into one sentence."""
    import tyro

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                options_type, args=argv, prog=f"metaplastic {command}", description=about
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UsageError(_sentence(complaint.getvalue(), command)) from None


def _sentence(complaint: str, command: str) -> str:
    # A title, then what is wrong down to a rule; in a box, or in ASCII with a rule before it too.
    lines = [line.strip("│╰╯ ") for line in complaint.splitlines()[1:]]
    rules = [i for i, line in enumerate(lines) if re.fullmatch("─{3,}|-{3,}", line)]
    first = 1 if rules[:1] == [0] else 0
    text = " ".join(lines[first : min(rules[first:], default=None)]).strip()
    if not text:
        return f"wrong options: metaplastic {command} --help"
    choice = re.search(
        r"invalid choice '(.*?)' for argument '(.*?)'\. Expected one of \((.*)\)", text
    )
    if choice:
        return str(unknown(f"value of {choice[2]}", choice[1], re.findall(r"'([^']*)'", choice[3])))
    union = re.match(
        r"Error parsing (\S+): no type matching (.*(?:INT|FLOAT).*) could be .*? \['?(.*?)'?\]",
        text,
    )
    if union:
        kind = (
            "whole numbers" if "INT" in union[2] else "numbers"
        )  # single ones were refused before
        return f"{union[1]} {union[3]}: it must be {kind}"
    own = re.match(r"Error parsing (?!-)[\w.]+: (.+)", text)
    if own:  # what a rule itself says of its fields
        return own[1]
    text = re.sub(r"^Error parsing (\S+):", r"\1:", text)
    text = re.sub(r"^Unrecognized options?:", "unexpected argument:", text)
    return f"{text.rstrip('.')} (see metaplastic {command} --help)"
