"""Options: command line over config file over defaults, and advice for what is mistyped."""

import dataclasses
import json
from typing import Literal

import equinox as eqx
import pytest

from metaplastic._errors import UsageError
from metaplastic.cli import _options, _output, _parts


class Rule(eqx.Module):
    """Carries errors back.

    Equations that the help leaves out.
    """

    feedback_scale: float = 0.05
    """Factor of the feedback."""
    mode: Literal["hebbian", "local"] = eqx.field(static=True, default="hebbian")
    """Which mode."""
    fast: bool = True
    """Is it fast?"""


@dataclasses.dataclass(kw_only=True)
class Demo(_options.CommonOptions):
    hidden: tuple[int, ...] = (1024,)
    """Widths of the hidden layers."""
    momentum: float | None = None
    """Momentum."""
    nesterov: bool = False
    """Look ahead."""


@pytest.fixture(autouse=True)
def released():
    yield
    _output.release_stdout()


def parse(*argv: str):
    options = _parts.with_parts(Demo, {"rule": Rule})
    return _options.parse(list(argv), options, command="demo RULE", about="A demonstration.")


def refused(*argv: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(*argv)
    message = str(caught.value)
    assert "\n" not in message
    assert "│" not in message
    return message


def test_defaults():
    options = parse()
    assert (options.seed, options.seeds, options.hidden) == (0, 1, (1024,))
    assert options.rule == Rule()


@pytest.mark.parametrize("option", ["--rule.feedback-scale", "--rule.feedback_scale"])
@pytest.mark.parametrize("join", [" ", "="])
def test_both_spellings(option, join):
    assert parse(*f"{option}{join}0.2".split()).rule.feedback_scale == 0.2


def test_values_of_every_type():
    options = parse(*["--hidden", "3", "4", "--momentum=0.5", "--rule.no-fast", "--nesterov"])
    assert options.hidden == (3, 4)
    assert options.momentum == 0.5
    assert options.rule.fast is False
    assert options.nesterov is True


def test_help_has_the_rules_own_words(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for words in ("metaplastic demo RULE", "A demonstration.", "--rule.feedback-scale"):
        assert words in shown
    assert "Factor of the feedback." in shown
    assert "Carries errors back." in shown
    assert "Equations" not in shown


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        ("--momentun 3", ("'--momentun'", "'--momentum'")),
        ("--rule.feedbck-scale 3", ("'--rule.feedback-scale'",)),
        ("--feedback-scale 3", ("'--rule.feedback-scale'",)),
        ("--no-momentum", ("'--no-momentum'",)),
        ("--rule.mode hebian", ("--rule.mode", "'hebian'", "'hebbian'")),
        ("--seed x", ("--seed x: it must be a whole number",)),
        ("--seed", ("--seed",)),
        ("--seeds 0", ("--seeds 0", "at least 1")),
        ("surplus", ("unexpected argument", "surplus")),
        ("--momentum nan", ("--momentum nan", "finite number")),
        ("--momentum=-inf", ("--momentum -inf", "finite number")),
        ("--rule.feedback-scale inf", ("--rule.feedback-scale inf", "finite number")),
        ("--seed 99999999999999999999", ("--seed 99999999999999999999", "2,147,483,647")),
        ("--hidden 3 3000000000", ("--hidden 3000000000", "2,147,483,647")),
        ("--momentum nope", ("--momentum nope: it must be a number",)),
    ],
)
def test_advice(argv, parts):
    message = refused(*argv.split())
    for part in parts:
        assert part in message


TOML = """
hidden = [5, 6]
momentum = 0.25
nesterov = true
"rule.feedback-scale" = 0.125
[rule]
mode = "local"
fast = false
"""


def test_config_file(tmp_path):
    path = tmp_path / "demo.toml"
    path.write_text(TOML)
    options = parse("--config", str(path))
    assert (options.hidden, options.momentum, options.nesterov) == ((5, 6), 0.25, True)
    assert options.rule == Rule(feedback_scale=0.125, mode="local", fast=False)


def test_command_line_wins_over_the_file(tmp_path):
    path = tmp_path / "demo.json"
    document = {"hidden": [5, 6], "nesterov": True, "momentum": None, "rule": {"mode": "local"}}
    path.write_text(json.dumps(document))
    argv = f"--hidden 7 --config={path} --no-nesterov --rule.mode=hebbian".split()
    options = parse(*argv)
    assert (options.hidden, options.nesterov, options.momentum) == ((7,), False, None)
    assert options.rule.mode == "hebbian"


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("a.toml", "rule.feedbck_scale = 1", ("'rule.feedbck_scale'", "'rule.feedback_scale'")),
        ("a.toml", "config = 'b.toml'", ("'config'",)),
        ("a.toml", "hidden = ", ("does not parse",)),
        ("a.json", "[1]", ("option names",)),
        ("a.json", "{", ("does not parse",)),
        ("a.json", '{"seed": 0.5}', ("--seed", "0.5")),
        ("a.yaml", "", (".toml",)),
        ("a.toml", None, ("cannot be read",)),
    ],
)
def test_useless_config_file(tmp_path, name, text, parts):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    message = refused("--config", str(path))
    for part in parts:
        assert part in message


class Demanding(eqx.Module):
    gain: float
    """Has no default."""


def test_rule_with_a_field_that_must_be_given():
    options = _parts.with_parts(Demo, {"rule": Demanding})
    given = _options.parse(["--rule.gain", "2"], options, command="demo", about="")
    assert given.rule.gain == 2.0
    with pytest.raises(UsageError, match=r"--rule\.gain"):
        _options.parse([], options, command="demo", about="")


class Picky(eqx.Module):
    gain: float = 1.0

    def __check_init__(self):
        if self.gain < 0:
            raise UsageError(f"--rule.gain {self.gain}: it must not be negative")


def test_a_rules_own_advice_arrives_as_it_is():
    options = _parts.with_parts(Demo, {"rule": Picky})
    with pytest.raises(UsageError, match=r"^--rule\.gain -1\.0: it must not be negative$"):
        _options.parse(["--rule.gain", "-1"], options, command="demo", about="")


def test_json_reserves_standard_output(capsys):
    parse("--json")
    print("chatter")
    _output.emit({"a": float("nan")})
    _output.release_stdout()
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"a": None}
    assert shown.err == "chatter\n"


def test_leading_name():
    assert _options.take_name(["pepita", "--seed", "1"], "rule", "") == ("pepita", ["--seed", "1"])
    with pytest.raises(UsageError, match="no rule given: metaplastic train RULE"):
        _options.take_name(["--seed", "1"], "rule", "train RULE")


def test_infinite_numbers_of_a_config_file(tmp_path):
    path = tmp_path / "demo.toml"
    path.write_text("momentum = nan")
    assert refused("--config", str(path)) == "--momentum nan: it must be a finite number"


def test_numbers_that_may_be_left_out():
    from metaplastic.cli.reproduce import ReproduceCommand

    with pytest.raises(UsageError) as caught:
        _options.parse(["--seeds", "nope"], ReproduceCommand, command="reproduce", about="")
    assert str(caught.value) == "--seeds nope: it must be a whole number"
