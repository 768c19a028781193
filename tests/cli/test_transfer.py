"""`metaplastic transfer` from the command line to its records, and its one-sentence errors."""

import json

import pytest
from trained_runs import make_run

from metaplastic.cli.__main__ import main

STATS = {"mean": 1.0, "std": 0.5, "n": 2, "per_seed": [0.5, 1.5], "interval": [0.4, 1.6]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("meta") / "run").path


@pytest.fixture(autouse=True)
def judged(monkeypatch):
    """Variants are looked at, not lived."""

    def evaluate(run, variant, *, lifetimes, fresh):
        own = {**STATS, "not_finite": 0.0}
        row = {"variant": variant.name, "changes": variant.changes, "drawn_anew": list(fresh)}
        return {**row, "trained": own, "untrained": own, "curve": None}

    monkeypatch.setattr("metaplastic.analysis.transfer.evaluate", evaluate)


def test_changes_beside_the_run_itself(run, tmp_path, capsys):
    out = tmp_path / "out"
    argv = [
        "transfer",
        str(run),
        "--learner.hidden",
        "5",
        "5",
        "--task.shots",
        "4",
        "--fresh",
        "rate",
    ]
    assert main([*argv, "--quiet", "--json", "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["variant"] for row in result["variants"]] == ["as trained", "learner.hidden 5 5"]
    assert result["variants"][1]["changes"] == {"learner.hidden": [5, 5]}
    assert result["variants"][1]["drawn_anew"] == ["rate"]
    assert (result["task"], result["lifetimes"]) == ("sinusoid", 3)
    config = json.loads((out / "config.json").read_text())
    assert config["command"] == "transfer" and config["source"] == str(run)
    assert (out / "figures/transfer/transfer.png").exists()
    assert main(["resume", str(out), "--quiet"]) == 0
    assert "learner.hidden 5 5" in capsys.readouterr().out
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "learner.hidden 5 5" in page and "Test mean squared error" in page


@pytest.mark.slow
def test_the_suite_and_another_task(run, tmp_path, capsys):
    argv = ["transfer", str(run), "--task", "sinusoid_sequence", "--task.shots", "2", "--suite"]
    assert main([*argv, "--quiet", "--json", "--out", str(tmp_path / "out")]) == 0
    rows = json.loads(capsys.readouterr().out)["variants"]
    assert rows[1]["variant"] == "task sinusoid_sequence" and len(rows) > 5
    assert rows[1]["changes"]["task"]["fields"]["shots"] == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no run folder given: metaplastic transfer RUN"),
        (["nowhere"], "nowhere holds no run"),
        (["RUN", "--task.moment", "3"], "did you mean '--task.moments'?"),
        (["RUN", "--task.moments", "0"], "--task.moments 0: at least 1"),
        (["RUN", "--learner.rates", "tensor"], "is not among what was learned: pass --fresh"),
        (["RUN", "--task.shots", "5", "--fresh", "modle"], "--fresh modle: neither learner has"),
        (["RUN", "--rule", "pepita"], "--rule"),
        (["RUN", "--task"], "--task needs a name"),
    ],
)
def test_wrong_usage_in_one_sentence(run, argv, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = [str(run) if own == "RUN" else own for own in argv]
    capsys.readouterr()
    assert main(["transfer", *argv, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and "Traceback" not in captured.err
