"""Run folders: one writer, whole records, nothing overwritten."""

import errno
import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest

from metaplastic._errors import MetaplasticError, UsageError
from metaplastic.report import records
from metaplastic.report.records import RunFolder

HOLD = """
import sys, time
from metaplastic.report.records import RunFolder
folder = RunFolder.open(sys.argv[1], write=True)
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def run(tmp_path):
    with RunFolder.create(tmp_path / "run", "pepita") as folder:
        folder.write_config({"command": "train"})
        yield folder


def test_default_folder_is_new_every_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [RunFolder.create(None, "./mine.py:My Rule") for _ in range(3)]
    assert len({folder.path for folder in folders}) == 3
    for folder in folders:
        assert folder.path.parent == records.RUNS
        assert folder.path.name.startswith("mine.py_My_Rule-")
        folder.close()


def test_what_is_written_is_read(run):
    run.write_config({"rule": "pepita", "rate": np.float32(0.5)})
    run.write_result({"test_accuracy": {"mean": float("nan"), "per_seed": np.array([0.5, 1.0])}})
    config = run.read_config()
    assert config["rule"] == "pepita"
    assert config["rate"] == 0.5
    assert config["environment"]["versions"]["jax"] == version("jax")
    assert run.read_result() == {"test_accuracy": {"mean": None, "per_seed": [0.5, 1.0]}}
    for path in (run.config_path, run.result_path):
        assert json.loads(path.read_text())["schema"] == records.SCHEMA


def test_no_result_while_the_run_goes_on(run):
    assert run.read_result() is None
    assert run.read_metrics() == []


def test_metrics_are_lines_and_are_appended(run):
    run.append_metrics([{"step": 1, "loss": 0.5}, {"step": 2, "loss": float("inf")}])
    run.append_metrics([{"step": 3, "loss": np.float32(0.25)}])
    assert run.read_metrics() == [
        {"step": 1, "loss": 0.5},
        {"step": 2, "loss": None},
        {"step": 3, "loss": 0.25},
    ]
    lines = run.metrics_path.read_text().splitlines()
    assert [json.loads(line)["schema"] for line in lines] == [records.SCHEMA] * 3


def test_resuming_drops_later_records_and_a_torn_line(run):
    run.append_metrics([{"step": 1}, {"step": 2}, {"note": "no step"}, {"step": 3}])
    with open(run.metrics_path, "a") as file:
        file.write('{"schema": 1, "step": 4, "lo')
    assert run.read_metrics()[-1] == {"step": 3}
    run.truncate_metrics(2)
    run.append_metrics([{"step": 3, "again": True}])
    assert run.read_metrics() == [
        {"step": 1},
        {"step": 2},
        {"note": "no step"},
        {"step": 3, "again": True},
    ]


def test_failed_append_leaves_whole_records(run, monkeypatch):
    run.append_metrics([{"step": 1}])

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(MetaplasticError, match=f"disk full .* resume {run.path}`"):
            run.append_metrics([{"step": 2}])
    run.append_metrics([{"step": 3}])
    assert run.read_metrics() == [{"step": 1}, {"step": 3}]


def test_damage_is_named(run):
    run.metrics_path.write_text('{"step": 1}\n{"step": \n{"step": 3}\n')
    with pytest.raises(MetaplasticError, match=r"metrics.jsonl, line 2, is damaged"):
        run.read_metrics()
    run.config_path.write_text("{")
    with pytest.raises(MetaplasticError, match=r"config.json is damaged"):
        run.read_config()
    run.config_path.write_text('{"schema": 1000}')
    with pytest.raises(MetaplasticError, match="newer metaplastic"):
        run.read_config()


def test_folder_with_a_run_is_refused(run):
    run.close()
    with pytest.raises(UsageError, match=f"holds a run already: `metaplastic resume {run.path}`"):
        RunFolder.create(run.path, "pepita")


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="holds other files"):
        RunFolder.create(tmp_path, "pepita")
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="is a file"):
        RunFolder.create(tmp_path / "thesis.tex", "pepita")


def test_folder_that_was_left_before_its_config_can_be_used(tmp_path):
    RunFolder.create(tmp_path / "run", "pepita").close()
    RunFolder.create(tmp_path / "run", "pepita").close()


def test_opening_what_is_no_run(run):
    run.close()
    typo = run.path.with_name("rnu")
    with pytest.raises(UsageError, match=r"rnu holds no run.*'run'"):
        RunFolder.open(typo)


def test_second_writer_is_told_who_the_first_is(run):
    with pytest.raises(
        MetaplasticError, match=f"{run.path} is being written by process {os.getpid()}"
    ):
        RunFolder.open(run.path, write=True)
    assert RunFolder.open(run.path).read_config()["command"] == "train"
    run.close()
    RunFolder.open(run.path, write=True).close()


def test_lock_dies_with_its_process(run):
    run.close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(MetaplasticError, match=f"by process {holder.pid}:"):
            RunFolder.open(run.path, write=True)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    RunFolder.open(run.path, write=True).close()


def test_importing_it_imports_no_jax():
    code = "import sys, metaplastic.report.records; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("existed", [True, False])
def test_run_that_could_not_begin_leaves_nothing(tmp_path, existed):
    path = tmp_path / "run"
    if existed:
        path.mkdir()
    folder = RunFolder.create(path, "pepita")
    folder.write_config({})
    folder.discard_unstarted()
    assert path.exists() == existed
    RunFolder.create(path, "pepita").close()


def test_run_that_began_is_kept(run):
    run.append_metrics([{"step": 1}])
    run.discard_unstarted()
    assert run.read_metrics() == [{"step": 1}]
    assert run.read_config()["command"] == "train"


def test_config_without_a_key_that_is_needed(tmp_path):
    with RunFolder.create(tmp_path / "run", "x") as folder:
        folder.write_config({"command": "train"})
        with pytest.raises(MetaplasticError, match=r"config\.json is damaged \(no 'rule'\)"):
            folder.read_config("command", "rule")
