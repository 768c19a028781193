"""`metaplastic report`: a page of runs from the command line."""

import json

import pytest
import run_folders as runs

from metaplastic.cli.__main__ import main


def test_a_page_beside_its_run(tmp_path, capsys):
    run = runs.write_run(tmp_path / "run")
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"report: {run / 'report.html'}\n"
    assert (run / "report.html").read_text().startswith("<!doctype html>")


def test_json_and_options_before_the_runs(tmp_path, capsys):
    names = [str(runs.write_run(tmp_path / rule, rule)) for rule in ("pepita", "drtp")]
    out = tmp_path / "pages" / "both.html"
    assert main(["report", "--out", str(out), names[0], "--json", names[1]]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(out), "runs": names}
    assert "2 runs" in out.read_text()


@pytest.mark.parametrize(
    ("argv", "status", "advice"),
    [
        ([], 2, "no run folder given"),
        (["nowhere"], 2, "nowhere holds no run"),
        (["nowhere", "--otu", "x"], 2, "did you mean '--out'?"),
    ],
)
def test_wrong_usage(tmp_path, monkeypatch, capsys, argv, status, advice):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *argv]) == status
    captured = capsys.readouterr()
    assert advice in captured.err and "Traceback" not in captured.err


def test_help(capsys):
    assert main(["report", "--help"]) == 0
    assert "--out" in capsys.readouterr().out
