"""`metaplastic meta` from the command line to its records, and its one-sentence errors."""

import json

import pytest

from metaplastic.cli.__main__ import main

SMALL = ["--task", "sinusoid", "--learner.hidden", "4", "--steps", "4", "--test-lifetimes", "5"]


def test_any_rule_needs_no_code(tmp_path, capsys):
    run = tmp_path / "run"
    argv = ["meta", "online", "--rule", "pepita", *SMALL, "--seeds", "2", "--json", "--quiet"]
    assert main([*argv, "--out", str(run)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["learner"], result["rule"]) == ("online", "pepita")
    assert (result["task"], result["estimator"]) == ("sinusoid", "unrolled")
    assert set(result["meta_loss"]) == {"first", "last"}
    assert result["test"]["metric"] == "mean squared error"
    assert (result["test"]["n"], result["test"]["lifetimes"]) == (2, 5)
    config = json.loads((run / "config.json").read_text())
    assert config["design"]["learner"]["fields"]["hidden"] == [4]
    assert config["options"]["steps"] == 4
    assert main(["resume", str(run), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == result


def test_config_file_names_the_parts(tmp_path, capsys):
    config = tmp_path / "own.toml"
    config.write_text(
        'steps = 2\ntest_lifetimes = 2\n[task]\nname = "sinusoid"\nshots = 3\n'
        '[estimator]\nname = "unrolled"\nrematerialise = "steps"\n[learner]\nhidden = [3]\n'
    )
    argv = ["meta", "online", "--config", str(config), "--quiet", "--task.shots", "4"]
    assert main([*argv, "--out", str(tmp_path / "run")]) == 0
    design = json.loads((tmp_path / "run" / "config.json").read_text())["design"]
    assert design["task"]["fields"]["shots"] == 4
    assert design["estimator"]["fields"]["rematerialise"] == "steps"
    assert "backprop" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["blur", "--help"], "--learner.states"),
        (["online", "--rule", "pool", "-h"], "--rule.granularity"),
    ],
)
def test_help_needs_no_task(argv, shown, capsys):
    assert main(["meta", *argv]) == 0
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["meta"], "no learner given: metaplastic meta LEARNER"),
        (["meta", "online"], "no task given: metaplastic meta LEARNER --task TASK"),
        (["meta", "online", "--task"], "--task needs a name: --task NAME"),
        (["meta", "online", *SMALL, "--task", "few_shot"], "--task is given twice, sinusoid and"),
        (["meta", "pepita", *SMALL], "pepita is a rule, not a learner: metaplastic meta online"),
        (["meta", "onlin", *SMALL], "unknown learner 'onlin': did you mean 'online'?"),
        (["meta", "online", *SMALL, "--task.shot", "1"], "did you mean '--task.shots'?"),
        (["meta", "online", *SMALL, "--task.shots", "0"], "--task.shots 0: at least 1"),
        (["meta", "online", *SMALL, "--optimiser", "adm"], "did you mean 'adam'?"),
        (["meta", "online", *SMALL, "--steps", "0"], "--steps 0: it must be positive"),
        (
            ["meta", "online", *SMALL, "--estimator", "cma_es", "--lr", "0.1"],
            "--lr has no part in CMAES",
        ),
        (["meta", "online", *SMALL, "--freeze", "wieght"], "--freeze wieght: no meta-parameter"),
        (["meta", "online", *SMALL, "--rule", "forward_forward"], "it needs data with two classes"),
    ],
)
def test_wrong_usage_in_one_sentence(argv, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*argv]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not list(tmp_path.glob("runs/*"))
