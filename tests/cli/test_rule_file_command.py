"""A rule from its discovery to its use: `metaplastic meta`, a rule file, `metaplastic train`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from metaplastic.cli.__main__ import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_term" / "centred.py"
META = ["meta", "online", "--rule", "pool", "--task", "sinusoid", "--learner.hidden", "4"]
META += ["--learner.rate", "0.5", "--learner.bias", "False", "--learner.start", "fresh"]
META += ["--steps", "2", "--test-lifetimes", "2", "--freeze", "model", "state.feedback", "--quiet"]
QUICK = ["--epochs", "2", "--batch-size", "9", "--no-alignment", "--checkpoint-every", "1"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The folder of a meta-training run with a term of one's own, and what it showed."""
    folder = tmp_path_factory.mktemp("found")
    mine = shutil.copy(EXAMPLE, folder / "centred.py")
    terms = ["--rule.terms", "pseudo_gradient=0.1", "ehebb", f"{mine}:centred=0.25"]
    assert main([*META, *terms, "--out", str(folder / "run")]) == 0
    return folder


@pytest.fixture
def folder(found, tmp_path, monkeypatch):
    """A folder with data, the term and the rule file, in which tests work."""
    shutil.copytree(found, tmp_path, dirs_exist_ok=True)
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    y = np.arange(30) % 3
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_rule_is_printed_and_used(folder, capsys):
    result = json.loads((folder / "run" / "result.json").read_text())["discovered"]
    assert result["formula"].startswith("dW = -0.")
    assert result["formula"].endswith("(e - mean e) x^T")
    argv = ["train", "--rule-file", "run/rule.safetensors", "--data", "mine.npz", *QUICK]
    argv += ["--own", "./centred.py:centred", "--quiet"]
    assert main([*argv, "--out", "used"]) == 0
    assert capsys.readouterr().out.startswith(result["formula"])
    options = json.loads((folder / "used" / "config.json").read_text())["options"]
    assert (options["lr"], options["optimiser"], options["bias"]) == (0.5, "sgd", False)
    assert (options["hidden"], options["batch_size"]) == ([4], 9)


def test_a_run_goes_on_without_the_file(folder, capsys):
    argv = ["train", "--rule-file", "run/rule.safetensors", "--data", "mine.npz", *QUICK, "--quiet"]
    argv += ["--own", "./centred.py:centred", "--json", "--out", "used"]
    assert main(argv) == 0
    whole = json.loads(capsys.readouterr().out)
    (folder / "used" / "result.json").unlink()
    shutil.rmtree(folder / "run")
    assert main(["resume", "used", "--json", "--quiet"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["test_accuracy"] == whole["test_accuracy"]
    assert again["formula"] == whole["formula"]
    assert (folder / "used" / "rule.safetensors").is_file()


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["run/rule.safetensors"], 2, "needs centred.py:centred, a file that did not come with it"),
        (["run/rule.safetensor"], 2, "no rule file 'run/rule.safetensor': did you mean"),
        (["mine.npz"], 1, "mine.npz is no rule file"),
        (["nobody"], 2, "unknown rule file 'nobody'"),
        (["run/rule.safetensors", "--own", "./cented.py:centred"], 2, "needs centred.py:centred"),
        (["run/rule.safetensors", "--rule.start", "1"], 2, "unknown option '--rule.start'"),
        ([], 2, "--rule-file needs a name: --rule-file NAME"),
    ],
)
def test_wrong_usage_in_one_sentence(argv, status, message, folder, capsys):
    assert main(["train", "--rule-file", *argv]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert message in line
    assert not (folder / "runs").exists()


def test_a_rule_and_a_file(folder, capsys):
    assert main(["train", "backprop", "--rule-file", "run/rule.safetensors"]) == 2
    assert "backprop and --rule-file run/rule.safetensors: name a rule" in capsys.readouterr().err
