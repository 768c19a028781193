"""A rule from its discovery to its use: `metaplastic meta`, a rule file, `metaplastic train`."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from metaplastic import rule_file
from metaplastic.cli import train
from metaplastic.cli.__main__ import main
from metaplastic.report._runs import Run
from metaplastic.rules.pool import Pool, PoolState

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_term" / "centred.py"
BIO = ("pseudo_gradient", "ehebb", "oja")
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
    again = shlex.split(Run.read(folder / "used").again)
    assert main([*again[1:], "--quiet", "--out", "again"]) == 0
    first, second = (
        json.loads((folder / name / "result.json").read_text()) for name in ("used", "again")
    )
    assert first["test_accuracy"] == second["test_accuracy"]


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
        (["run/rule.safetensors", "--own", "./cented.py:centred"], 2, "there is no file './cented"),
        (["fbio", "--own", "./centred.py:centred"], 2, "no use for it, it needs nothing of your"),
        (["fbio", "--rule-file", "oja"], 2, "--rule-file is given twice, fbio and oja"),
        (["fbio.safetensors"], 2, "did you mean 'fbio', which comes with metaplastic?"),
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


def test_what_a_card_says_of_another_model(capsys):
    """Its defaults are left out where the model has no such option; what is asked for is not."""
    name, _, options = train._of_file("fbio", ["--model", "lenet", "--epochs", "3"])
    assert (name, options.hidden, options.activation, options.bias) == (
        "fbio", None, "softplus", False
    )  # fmt: skip
    assert (options.epochs, options.schedule, options.optimiser) == (3, "cosine", "sgd")
    assert train._of_file("fbio", [])[2].hidden == (170, 130, 100, 70)
    asked = train._of_file("fbio", ["--model", "lenet", "--hidden", "4"])[2]
    assert asked.hidden == (4,)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ({"lr": "abc"}, "its card has --lr 'abc' where a finite number belongs"),
        ({"hidden": "x"}, "its card has --hidden 'x' where a list or nothing belongs"),
        ({"hidden": [4.5]}, "each is a whole number or nothing belongs"),
        ({"optimiser": "magic"}, "its card has --optimiser 'magic' where one of momentum"),
        ({"initialiser": "a\nb"}, "where a text or nothing belongs"),
    ],
)
def test_a_card_with_options_of_a_wrong_type(use, message, tmp_path, monkeypatch, capsys):
    path = tmp_path / "own.safetensors"
    state = PoolState({name: np.zeros((), np.float32) for name in BIO}, None)
    rule_file.save(path, Pool(), state, {"use": use})
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--rule-file", str(path)]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.slow
@pytest.mark.parametrize("name", rule_file.names())
def test_what_ships_trains_a_network(name, tmp_path):
    """With nothing but its name, on another seed than those of the table in the documentation."""
    argv = ["train", "--rule-file", name, "--seed", "7", "--no-alignment", "--quiet"]
    assert main([*argv, "--out", str(tmp_path / "run")]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["test_accuracy"]["mean"] > 0.65  # chance: 0.1
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    accuracy = [own["test_accuracy"][0] for own in map(json.loads, lines) if "test_accuracy" in own]
    assert accuracy[-1] > max(accuracy) - 0.1
