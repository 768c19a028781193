"""`train` and `resume`: options reach the trainer, the run folder keeps them, the JSON is one."""

import json

import pytest

from metaplastic import train
from metaplastic._errors import UsageError
from metaplastic.cli.__main__ import main
from metaplastic.report.records import RunFolder

RULE = '''"""My rule, in a folder of my own."""

from metaplastic.rules.feedback_alignment import FeedbackAlignment


class Mine(FeedbackAlignment):
    """My rule."""

    properties = FeedbackAlignment.properties
    gain: float = 1.0
    """Gain."""
'''
ARGV = ["train", "./mine.py", "--rule.gain", "0.1", "--seed", "3", "--seeds", "2", "--out", "run"]
ARGV += ["--hidden", "8", "--epochs", "2", "--lr", "0.01", "--bias", "True"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(RULE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fail(monkeypatch):
    """Let the trainer end with an error once it has made its record."""

    def install(error: BaseException, *, recorded: bool) -> None:
        def run(*args, folder, **options):
            if recorded:
                folder.write_config({"command": "train"})
                folder.append_metrics([{"step": 1}])
            raise error

        monkeypatch.setattr(train, "run", run)

    return install


def test_from_options_to_result(capsys):
    assert main([*ARGV, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["rule"], result["data"], result["seeds"]) == ("mine", "digits", [3, 4])
    assert len(result["test_accuracy"]["per_seed"]) == 2
    run = RunFolder.open("run")
    config = run.read_config()
    assert config["rule"]["fields"]["gain"] == 0.1
    assert config["seeds"] == [3, 4]
    options = config["options"]
    assert (options["lr"], options["hidden"], options["bias"]) == (0.01, [8], True)
    assert run.read_result() == result


@pytest.mark.slow
def test_finished_run_is_shown_again_and_not_run(capsys, fail):
    assert main([*ARGV, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    metrics = RunFolder.open("run").metrics_path.read_bytes()
    assert main(["resume", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert RunFolder.open("run").metrics_path.read_bytes() == metrics


@pytest.mark.slow
def test_summary_for_people(capsys):
    assert main([*ARGV, "--control", "--quiet"]) == 0
    shown = capsys.readouterr()
    first, second, *figures, last = shown.out.splitlines()
    assert first.startswith("mine on digits: test accuracy 0.")
    assert "(2 seeds)" in first
    assert second.startswith("shallow (the control): test accuracy 0.")
    assert figures and all(line.startswith("figure: run/figures/") for line in figures)
    assert last == "run folder: run"
    assert shown.err == ""


def test_interrupt_says_how_to_resume(capsys, fail):
    fail(KeyboardInterrupt(), recorded=True)
    assert main(ARGV) == 130
    assert "interrupted: `metaplastic resume run` continues the run" in capsys.readouterr().err
    RunFolder.open("run", write=True).close()


def test_run_that_cannot_begin_leaves_no_folder(fail, folder):
    fail(UsageError("--data nothing: there is no such thing"), recorded=False)
    assert main(ARGV) == 2
    assert not (folder / "run").exists()


@pytest.mark.parametrize("error", [UsageError("late"), ZeroDivisionError()])
def test_run_that_began_is_kept_and_let_go(fail, error):
    fail(error, recorded=True)
    assert main(ARGV) in (1, 2)
    with RunFolder.open("run", write=True) as run:
        assert run.read_metrics() == [{"step": 1}]


@pytest.mark.parametrize(
    ("argv", "advice"),
    [
        (["train"], "no rule given"),
        (["train", "bakprop"], "'backprop'"),
        (["train", "./mine.py", "--rule.gian", "1"], "'--rule.gain'"),
        (["train", "./mine.py", "--epochs", "0"], "must be positive"),
        (["train", "./mine.py", "--data", "digist"], "'digits'"),
        (["train", "./mine.py", "--batch-size", "100000"], "--batch-size 100000"),
        (["resume"], "no run folder given"),
        (["resume", "nowhere"], "holds no run"),
    ],
)
def test_wrong_usage(capsys, folder, argv, advice):
    assert main(argv) == 2
    shown = capsys.readouterr().err
    assert advice in shown.splitlines()[-1]
    assert not list(folder.glob("runs/*"))


def test_run_of_another_kind_is_not_resumed(capsys):
    with RunFolder.create(None, "else") as run:
        run.write_config({"command": "lsit"})
    assert main(["resume", str(run.path)]) == 1
    assert "'lsit', which cannot be resumed" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "resume"])
def test_help_without_a_name(capsys, command):
    assert main([command, "--help"]) == 0
    assert f"usage: metaplastic {command}" in capsys.readouterr().out
