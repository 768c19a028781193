"""`metaplastic compare --rule-file`: discovered rules beside those that have a name."""

import json
import shutil

import numpy as np
import pytest

from metaplastic import rule_file
from metaplastic._errors import UsageError
from metaplastic.cli import _rule_files
from metaplastic.cli.__main__ import main
from metaplastic.rules.pool import Pool, PoolState

TERM = "from metaplastic.rules.pool import term\n\n"
TERM += '@term("y x^T * 2")\ndef twice(s):\n    return 2 * s.y, s.x\n'
QUICK = ["--data", "mine.npz", "--epochs", "1", "--batch-size", "9", "--hidden", "3"]
QUICK += ["--rates", "0.1", "--no-alignment", "--quiet"]


def write(path, value, **fields):
    """A rule file, its coefficients all of one value."""
    rule = Pool(**fields)
    state = PoolState({name: np.full((), value, np.float32) for name in rule._terms()}, None)
    path.parent.mkdir(exist_ok=True, parents=True)
    rule_file.save(path.with_suffix(rule_file.SUFFIX), rule, state)
    path.with_suffix(rule_file.SUFFIX).rename(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with data, two runs that found a rule, one of them with a term of one's own."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    y = np.arange(30) % 3
    np.savez("mine.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    (tmp_path / "mine.py").write_text(TERM)
    write(tmp_path / "one" / "rule.safetensors", -0.1, terms=("ehebb",))
    write(tmp_path / "two" / "rule.safetensors", 0.25, terms=("ehebb", "mine.py:twice"))
    write(tmp_path / "mine.rule", -0.2, terms=("ehebb",))
    return tmp_path


def test_rule_files_stand_beside_rules(folder, capsys, monkeypatch):
    argv = ["compare", "drtp", "--rule-file", "one/rule.safetensors", "--no-ends"]
    argv += ["--rule-file=two/rule.safetensors", "--own", "./mine.py:twice", *QUICK]
    assert main([*argv, "--data", str(folder / "mine.npz"), "--json", "--out", "run"]) == 0
    result = json.loads(capsys.readouterr().out)
    labels = ["drtp", "one/rule", "two/rule"]
    assert [row["rule"] for row in result["rules"]] == labels
    formulas = {row["rule"]: row["formula"] for row in result["rules"] if "formula" in row}
    assert list(formulas) == labels[1:]
    assert formulas["two/rule"] == "dW = -0.25 e d^T + 0.25 y x^T * 2"
    record = json.loads((folder / "run" / "config.json").read_text())["rules"]
    assert [own.get("own") for own in record] == [None, [], [f"{folder}/mine.py:twice"]]

    for source in ("one", "two"):
        shutil.rmtree(folder / source)
    (folder / "run" / "result.json").unlink()
    for row in (folder / "run" / "parts").glob("*rule/result.json"):
        row.unlink()
    monkeypatch.chdir("/")
    assert main(["resume", str(folder / "run"), "--quiet"]) == 0
    told = capsys.readouterr().out
    again = json.loads((folder / "run" / "result.json").read_text())
    for row, before in zip(again["rules"], result["rules"], strict=True):
        assert {**row, "seconds": 0} == {**before, "seconds": 0}
    assert all(told.count(label) >= 1 for label in labels)
    assert f"two/rule: {formulas['two/rule']}\n" in told


def test_a_rule_file_alone_and_in_a_file_of_options(folder, capsys):
    (folder / "own.toml").write_text('rule_file = ["mine.rule"]\nends = false\n')
    assert main(["compare", "--config", "own.toml", *QUICK, "--json", "--out", "run"]) == 0
    [row] = json.loads(capsys.readouterr().out)["rules"]
    assert (row["rule"], row["name"], row["best_lr"]) == ("mine", "pool", 0.1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["fbio", "mine.rule"], ["fbio", "mine"]),
        (["one/rule.safetensors"], ["rule"]),
        # What is called as a rule is neither that rule nor the control.
        (["one/shallow.rule", "oja"], ["one/shallow", "oja"]),
        (["fbio", "one/fbio.rule"], ["discovered/fbio", "one/fbio"]),
        (["one/own/rule", "mine.rule", "one/mine.rule"], ["rule", "{here}/mine", "one/mine"]),
    ],
)
def test_a_file_is_called_by_its_name_and_as_many_folders_as_it_takes(given, expected, folder):
    for i, path in enumerate(path for path in given if not (folder / path).is_file()):
        if "/" in path:
            write(folder / path, 0.3 + i, terms=("ehebb",))
    found = _rule_files.entrants(given, (), ["drtp"])
    assert [label for label, _, _ in found] == [own.format(here=folder.name) for own in expected]


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["nobody"], 2, "unknown rule file 'nobody'"),
        (["one/rule.safetensor"], 2, "no rule file 'one/rule.safetensor': did you mean"),
        (["mine.npz"], 1, "mine.npz is no rule file"),
        (["broken.rule"], 1, "broken.rule has been changed since it was written"),
        ([], 2, "--rule-file needs a name: --rule-file NAME"),
        (["fbio", "--rule-file", "fbio"], 2, "--rule-file fbio is named twice: name it once"),
        (["mine.rule", "copy.rule"], 2, "mine.rule and copy.rule hold the same rule: name one"),
        (["mine.rule", "mine.safetensors"], 2, "mine.rule: another has the same name but for its"),
        (["two/rule.safetensors"], 2, "two/rule.safetensors needs mine.py:twice, a file that"),
        (["fbio", "--own", "./mine.py:twice"], 2, "--own ./mine.py:twice: no rule file here has"),
        (["fbio", "--task", "sinusoid"], 2, "trains a network on --data, not a learner on tasks"),
        (["deep.safetensors"], 2, "deep.safetensors was made for another network"),
    ],
)
def test_wrong_usage_in_one_sentence(argv, status, message, folder, capsys):
    whole = (folder / "mine.rule").read_bytes()
    (folder / "broken.rule").write_bytes(whole[:-1] + b"\x01")
    (folder / "copy.rule").write_bytes(whole)
    write(folder / "mine.safetensors", 0.3)
    deep = Pool(terms=("ehebb",), granularity="layer")
    rule_file.save("deep.safetensors", deep, PoolState({"ehebb": np.zeros(3, np.float32)}, None))
    assert main(["compare", "drtp", "--rule-file", *argv, *QUICK]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert message in line
    assert not any((folder / "runs").glob("*"))


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("--x 1", "--x 1"),
        ("--own a --x 1 --own=b --y", "--x 1 --y --own a b"),
        ("--own a b --own c", "--own a b c"),
    ],
)
def test_an_option_that_is_given_again_adds(argv, expected):
    assert _rule_files.gather(argv.split(), "own") == expected.split()


@pytest.mark.parametrize("argv", ["--own", "--own --x", "--own a --own"])
def test_an_option_without_a_value(argv):
    with pytest.raises(UsageError, match="--own needs a name"):
        _rule_files.gather(argv.split(), "own")
