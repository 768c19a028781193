"""`metaplastic check`, and a user's rule that is dropped into a folder of plugins."""

import json
import shutil
from pathlib import Path

import pytest

from metaplastic import _registry, train
from metaplastic.cli.__main__ import main
from metaplastic.report.records import RunFolder
from metaplastic.testing import check_names
from metaplastic.train.options import TrainOptions

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_rule" / "sparse_feedback.py"


@pytest.fixture
def faulty(tmp_path):
    """A copy of the example with one fault."""
    path = tmp_path / "faulty.py"
    source = EXAMPLE.read_text(encoding="utf-8")
    path.write_text(source.replace("needs_slope=True", "needs_slope=False"), encoding="utf-8")
    return path


def test_users_rule_passes(capsys):
    assert main(["check", f"{EXAMPLE}:SparseFeedback"]) == 0
    shown = capsys.readouterr().out
    lines = {
        line.split()[1]: line.split()[0] for line in shown.splitlines() if "  " in line.strip()
    }
    assert lines.keys() >= set(check_names())
    assert lines["structure"] == "✓"
    assert lines["declared-only"] == "–"
    assert f"{len(check_names()) - 1} passed, 1 skipped" in shown


def test_users_rule_fails(faulty, capsys):
    assert main(["check", str(faulty), "--only", "needs-slope", "constructs"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "✗ needs-slope declares needs_slope=False, but the update of layer 1 changes" in shown
    assert "✓ constructs" in shown
    assert "1 passed, 1 failed" in shown


def test_json_is_one_document(faulty, capsys):
    assert main(["check", str(faulty), "--only", "needs-slope", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["rule"] == str(faulty)
    assert document["passed"] is False
    (row,) = document["checks"]
    assert row.keys() == {"check", "status", "sentence"}
    assert (row["check"], row["status"]) == ("needs-slope", "failed")


def test_options_of_the_rule(capsys):
    argv = ["check", "pepita", "--only", "fields", "--rule.mode", "hebbian", "--json"]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["sinusoid", "--only", "samples", "--task.moments", "3"], "task"),
        (["online", "--only", "builds", "--learner.frozen", "1"], "learner"),
        (["truncated", "--only", "fields", "--estimator.steps", "2"], "estimator"),
        (["mlp", "--only", "output"], "model"),
    ],
)
def test_every_kind_is_checked(capsys, argv, kind):
    assert main(["check", *argv, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document[kind] == argv[0] and document["passed"] is True


def test_a_file_may_hold_any_kind(tmp_path, capsys):
    path = tmp_path / "curves.py"
    path.write_text(
        "from metaplastic.tasks.sinusoid import Sinusoid\n\n\n"
        "class Curves(Sinusoid):\n    shots: int = 0\n    criterion = Sinusoid.criterion\n\n\n"
        "def other():\n    pass\n"
    )
    assert main(["check", f"{path}:Curves", "--only", "constructs", "--json"]) == 1
    assert "shots" in json.loads(capsys.readouterr().out)["checks"][0]["sentence"]
    assert main(["check", f"{path}:other"]) == 2
    assert "neither a rule" in capsys.readouterr().err
    assert main(["check", f"{path}:Curve"]) == 2
    assert "did you mean 'Curves'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "advice"),
    [
        ([], "no rule, learner, task, estimator or model given"),
        (["bakprop"], "did you mean 'backprop'?"),
        (["backprop", "--only", "jti"], "did you mean 'jit'?"),
        (["backprop", "--onyl", "jit"], "did you mean '--only'?"),
    ],
)
def test_wrong_usage(capsys, argv, advice):
    assert main(["check", *argv]) == 2
    assert advice in capsys.readouterr().err


def test_help(capsys):
    assert main(["check", "--help"]) == 0
    assert "--only" in capsys.readouterr().out


def test_rule_in_a_folder_of_plugins_is_like_any_other(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(EXAMPLE, folder)
    monkeypatch.setenv(_registry.PLUGINS, str(folder))

    assert main(["list", "rules", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rules"]}
    assert rows["sparse_feedback"]["summary"].startswith("Feedback alignment through few")
    assert rows["sparse_feedback"]["properties"]["weight_transport"] == "no"

    assert main(["check", "sparse_feedback", "--only", "structure"]) == 0

    rule = _registry.load("rules", "sparse_feedback")
    options = TrainOptions(hidden=(16,), epochs=2, alignment=False)
    with RunFolder.create(tmp_path / "run", "train") as out:
        result = train.run("sparse_feedback", rule(density=0.5), options, folder=out)
    assert result["rule"] == "sparse_feedback"
    assert result["test_accuracy"]["mean"] > 0.5
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())["rule"]
    assert recorded["spec"] == str(folder / "sparse_feedback.py")
    assert recorded["fields"]["density"] == 0.5
