"""Papers: their tables are well formed, and reproducing one gives rows, verdicts and figures."""

import json

import pytest

from metaplastic import _registry
from metaplastic.cli.__main__ import main
from metaplastic.models._initialisers import INITIALISERS
from metaplastic.papers.base import MetaArm, StudyArm
from metaplastic.report.records import RunFolder

PAPER = '''
"""A tiny paper (Nobody, 2026)."""
from metaplastic.papers.base import Arm, Experiment, Paper, Reported
from metaplastic.train.options import TrainOptions

def arm(setting, rule, reported=None, **options):
    own = TrainOptions(hidden=(4,), epochs=1, alignment=False, **options)
    return Arm(setting=setting, rule=rule, options=own, rates=(0.05,), reported=reported)

PAPER = Paper(
    title="Tiny", authors="Nobody", year=2026, link="", bibtex="@misc{tiny, title={Tiny}}",
    experiments=(
        Experiment(
            name="digits", title="Digits", seeds={"quick": 2, "full": 2},
            quick=(
                arm("BP", "backprop", Reported(0.0, 1.0, "Table 1", "source")),
                arm("far", "shallow", Reported(100.0, 0.1, "Table 1", "source")),
                arm("recalled", "shallow", Reported(100.0, 0.1, "Table 1", "memory")),
                arm("absent", "backprop", data="mnist"),
            ),
        ),
        Experiment(
            name="errors", title="Errors", metric="test error, %",
            seeds={"quick": 1, "full": 1}, quick=(arm("BP", "backprop"),),
        ),
    ),
)
'''


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    (tmp_path / "plugins" / "papers").mkdir(parents=True)
    (tmp_path / "plugins" / "papers" / "tiny.py").write_text(PAPER)
    monkeypatch.setenv("METAPLASTIC_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("METAPLASTIC_OFFLINE", "1")
    monkeypatch.setenv("METAPLASTIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("METAPLASTIC_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def run(capsys, *argv: str) -> dict:
    assert main([*argv, "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def test_rows_verdicts_figures_and_resume(tiny, capsys):
    result = run(capsys, "reproduce", "tiny", "--out", "run")
    rows = {(row["experiment"], row["setting"]): row for row in result["rows"]}
    assert rows["digits", "BP"]["verdict"] == "above"
    assert rows["digits", "far"]["verdict"] == "below"
    assert rows["digits", "recalled"]["verdict"] is None
    assert rows["digits", "absent"]["ours"] is None
    assert rows["digits", "absent"]["verdict"].startswith("not run: mnist needs")
    assert rows["digits", "BP"]["ours"]["n"] == 2
    accuracy = result["comparison"][-1]["test_accuracy"]["mean"]
    assert rows["errors", "BP"]["ours"]["mean"] == pytest.approx(100 * (1 - accuracy))
    assert (RunFolder.open("run").figures / "digits" / "accuracy.png").stat().st_size > 1000
    assert run(capsys, "resume", "run") == result


def test_interrupted_reproduction_keeps_what_is_done(tiny, capsys, monkeypatch):
    result = run(capsys, "reproduce", "tiny/errors", "--out", "run")
    (RunFolder.open("run").path / "result.json").unlink()

    def refuse(*args, **options):
        raise AssertionError("an arm that is done was run again")

    monkeypatch.setattr("metaplastic.train.entrant.fit", refuse)
    assert run(capsys, "resume", "run") == result


def test_unknown_names(tiny, capsys):
    assert main(["reproduce", "tinny"]) == 2
    assert "did you mean 'tiny'?" in capsys.readouterr().err
    assert main(["reproduce", "tiny/digit"]) == 2
    assert "did you mean 'digits'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", _registry.names("papers"))
def test_every_paper_names_rules_options_and_ends_that_exist(name):
    paper = _registry.load("papers", name)
    assert paper.bibtex.startswith("@")
    for experiment in paper.experiments:
        for scale in ("quick", "full"):
            arms = experiment.arms(scale)
            for arm in arms:
                if isinstance(arm, StudyArm):
                    assert callable(arm.study)
                    continue
                arm.options.check()
                if isinstance(arm, MetaArm):  # made, one by one, in the tests of each paper
                    assert arm.design.record()["task"]["name"] in _registry.names("tasks")
                    continue
                _registry.load("rules", arm.rule)(**arm.fields)
                assert arm.options.data in _registry.names("datasets")
                assert arm.options.model in _registry.names("models")
                assert arm.options.initialiser in (None, *INITIALISERS)
                assert arm.rates
            rules = {arm.rule for arm in arms if not isinstance(arm, MetaArm | StudyArm)}
            assert not rules or {"shallow", "backprop"} <= rules


def test_an_experiment_that_the_scale_does_not_have_is_refused(tiny, capsys):
    assert main(["reproduce", "tiny/digits", "--scale", "full", "--out", "run"]) == 2
    assert "tiny/digits has no scale full: use --scale quick" in capsys.readouterr().err


def test_where_no_data_is_there_the_reason_is_one_sentence(tiny, capsys, tmp_path):
    own = PAPER.replace('arm("BP", "backprop"),)', 'arm("BP", "backprop", data="mnist"),)')
    (tmp_path / "plugins" / "papers" / "tiny.py").write_text(own)
    command = ["reproduce", "tiny/errors", "--out", "run", "--quiet"]
    assert main(command) == 1
    assert "mnist" in capsys.readouterr().err
    assert not (tmp_path / "run" / "result.json").exists()
