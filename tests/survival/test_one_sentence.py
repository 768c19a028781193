"""Whatever goes wrong is one sentence with its remedy, and what was there is still there."""

import asyncio
import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from processes import without_times

from metaplastic._errors import MetaplasticError
from metaplastic.cli.__main__ import main
from metaplastic.report import records
from metaplastic.report.records import RunFolder
from metaplastic.train.checkpoint import Checkpoints

QUICK = ["--hidden", "4", "--epochs", "3", "--batch-size", "10", "--checkpoint-every", "1"]
QUICK += ["--no-alignment", "--quiet"]


def arrays(count: int = 30, **changes) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3)).astype(np.float32)
    own = dict(x_train=x, y_train=np.arange(count) % 3, x_test=x[:9], y_test=np.arange(9) % 3)
    return own | changes


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with data of our own; tests work in it."""
    np.savez(tmp_path / "mine.npz", **arrays())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(path: Path) -> dict[str, bytes]:
    return {
        str(own.relative_to(path)): own.read_bytes()
        for own in path.rglob("*")
        if own.is_file() and own.name != "run.lock"
    }


@pytest.fixture
def says(capsys):
    """Run a command that must fail with a status and one sentence; the sentence."""

    def run(status: int, *argv: str) -> str:
        assert main(list(argv)) == status
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.endswith("\n")
        (line,) = shown.err.splitlines()
        assert line.startswith("metaplastic: error: ")
        assert "Traceback" not in line
        return line.removeprefix("metaplastic: error: ")

    return run


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory) -> Path:
    """A run of three epochs, and its data beside it."""
    path = tmp_path_factory.mktemp("finished")
    np.savez(path / "mine.npz", **arrays())
    before = Path.cwd()
    os.chdir(path)
    try:
        assert main(["train", "backprop", "--data", "mine.npz", *QUICK, "--out", "run"]) == 0
    finally:
        os.chdir(before)
    return path


@pytest.fixture
def finished(finished_once, folder) -> Path:
    shutil.copytree(finished_once / "run", folder / "run")
    return folder / "run"


@pytest.fixture
def unfinished(finished) -> Path:
    """The same, as if it had been killed after its last checkpoint."""
    (finished / "result.json").unlink()
    return finished


# What is asked for


@pytest.mark.parametrize(
    ("argv", "culprit", "fix"),
    [
        (["tarin"], "'tarin'", "did you mean 'train'?"),
        (["train", "feedback_alignmet"], "'feedback_alignmet'", "'feedback_alignment'"),
        (["train", "./mien.py"], "no file './mien.py'", ""),
        (["train", "backprop", "--epoch", "3"], "'--epoch'", "'--epochs'"),
        (["train", "backprop", "--epochs", "three"], "--epochs", "three"),
        (["train", "backprop", "--optimiser", "adma"], "adma", "'adam'"),
        (["train", "backprop", "--lr", "-1"], "--lr -1.0", "must be positive"),
        (["train", "backprop", "--model", "lent"], "'lent'", "'lenet'"),
        (["train", "backprop", "--filters", "3"], "--filters", "mlp, which has --hidden"),
        (["train", "backprop", "--model", "lenet"], "lenet", "--model mlp"),
        (["train", "backprop", "--initialiser", "he_unifrm"], "'he_unifrm'", "'he_uniform'"),
        (["train", "backprop", "--batch-size", "31"], "--batch-size 31", "choose at most 30"),
        (["train", "backprop", "--validation", "30"], "30 training examples", "from 1 to 29"),
        (["train", "backprop", "--milestones", "-5"], "--milestones -5", "not be negative"),
        (["train", "pepita", "--rule.feedback-scale", "0"], "feedback-scale 0", "positive"),
        (
            ["train", "backprop", "--data", "digits", "--resize", "100000"],
            "--resize 100000 makes 14,370 billion pixels of 1,437 images",
            "choose at most 1668",
        ),
        (
            [
                "train",
                "pepita",
                "--data",
                "digits",
                "--model",
                "pepita_conv",
                "--filters",
                "4",
                "4",
            ],
            "2 blocks with kernel 5 do not fit images of 8x8",
            "fewer --filters, or larger images with --resize",
        ),
        (["train", "backprop", "--select", "best"], "--select best", "--validation"),
        (["train", "backprop", "--data", "digist"], "'digist'", "'digits'"),
        (["train", "backprop", "--data", "nothing.npz"], "nothing.npz", ""),
        (["compare", "backprop", "pepitta"], "'pepitta'", "'pepita'"),
        (["compare", "pepita:mod=hebbian"], "'--mod'", "'--mode'"),
        (["compare", "pepita", "--rates"], "--rates", "learning rate"),
        (["compare", "pepita", "--rates", "nan", "0.1"], "--rates", "nan"),
        (["compare", "pepita", "--rates", "0.1", "-0.01"], "--rates -0.01", "positive"),
        (["compare", "pepita", "--rates", "0.1", "0.1"], "--rates names 0.1 twice", "once"),
        (["compare", "pepita", "--grid-seeds", "0"], "--grid-seeds 0", "from 1 to 1"),
        (["compare", "pepita", "--grid-seeds", "-1"], "--grid-seeds -1", "from 1 to 1"),
        (["compare", "pepita", "--grid-epochs", "0"], "--grid-epochs 0", "leave it out"),
        (["compare", "pepita", "--grid-epochs", "-1"], "--grid-epochs -1", "at least 1"),
        (["compare", "pepita", "--lr", "0.1"], "--lr 0.1", "--rates 0.1"),
        (["compare", "pepita", "pepita"], "pepita is named twice", "name it once"),
        (["resume", "rnu"], "rnu holds no run", ""),
    ],
)
def test_wrong_usage(says, folder, argv, culprit, fix):
    if argv[0] in ("train", "compare") and "--data" not in argv:
        argv = [*argv, "--data", "mine.npz"]
    if argv[0] == "train" and "--batch-size" not in argv:
        argv = [*argv, "--batch-size", "10"]
    before = contents(folder)
    status = 1 if "nothing.npz" in argv else 2
    sentence = says(status, *argv, *(["--quiet"] if argv[0] in ("train", "compare") else []))
    assert culprit in sentence
    assert fix in sentence
    assert contents(folder) == before
    assert not list(folder.glob("runs/*"))


# Data


def with_nan() -> np.ndarray:
    x = arrays()["x_train"].copy()
    x[4, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("changes", "culprit", "fix"),
    [
        ({"x_train": with_nan()}, "x_train[4, 1] is nan", "remove or fill"),
        ({"y_train": np.arange(30) % 3 + 1}, "y_train", "0..2"),
        ({"y_train": np.zeros(30, int), "y_test": np.zeros(9, int)}, "one class", ""),
        ({"x_test": np.zeros((0, 3), np.float32), "y_test": np.zeros(0, int)}, "test split", ""),
        ({"y_train": np.array(["a", "b", "c"] * 10)}, "y_train", "np.unique"),
        ({"x_train": np.zeros((29, 3), np.float32)}, "29 examples", "one label"),
    ],
)
def test_unusable_data(says, folder, changes, culprit, fix):
    np.savez(folder / "broken.npz", **arrays(**changes))
    sentence = says(1, "train", "backprop", "--data", "broken.npz", *QUICK)
    assert "broken.npz" in sentence
    assert culprit in sentence
    assert fix in sentence
    assert not list(folder.glob("runs/*"))


@pytest.mark.parametrize("kept", [0, 100, 700])
def test_truncated_data_file(says, folder, kept):
    data = (folder / "mine.npz").read_bytes()
    (folder / "short.npz").write_bytes(data[:kept])
    assert "short.npz" in says(1, "train", "backprop", "--data", "short.npz", *QUICK)
    assert len((folder / "short.npz").read_bytes()) == kept


def test_tampered_data_file(says, folder):
    """One byte of an array, which the archive's own checksum gives away."""
    data = bytearray((folder / "mine.npz").read_bytes())
    data[300] ^= 1
    (folder / "other.npz").write_bytes(data)
    assert "other.npz" in says(1, "train", "backprop", "--data", "other.npz", *QUICK)


def test_no_network_and_nothing_in_the_cache(says, monkeypatch):
    monkeypatch.setenv("METAPLASTIC_OFFLINE", "1")
    sentence = says(1, "train", "backprop", "--data", "mnist", *QUICK)
    assert "mnist needs train-images" in sentence
    assert "METAPLASTIC_OFFLINE" in sentence
    assert "place them in" in sentence


def test_tampered_file_in_the_cache(says, folder, monkeypatch):
    monkeypatch.setenv("METAPLASTIC_OFFLINE", "1")
    path = folder / "cache" / "mnist" / "train-images-idx3-ubyte.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not the images")
    sentence = says(1, "train", "backprop", "--data", "mnist", *QUICK)
    assert f"{path} is damaged" in sentence
    assert "metaplastic data fetch mnist" in sentence
    assert path.read_bytes() == b"not the images"


# Divergence


def test_divergence(says, folder):
    argv = ["--data", "mine.npz", *QUICK, "--lr", "1e30", "--out", "run", "--seed", "4"]
    sentence = says(1, "train", "backprop", *argv)
    assert sentence.startswith("backprop diverged at step ")
    for word in ("seed 4", "--lr 1e+30", "try a rate ten times smaller", "is kept in"):
        assert word in sentence
    assert Checkpoints(folder / "run" / "checkpoints", run=folder).latest() is not None


# Folders


@pytest.mark.parametrize("command", ["train", "compare"])
def test_folder_that_holds_a_run(says, finished, command):
    before = contents(finished)
    sentence = says(2, command, "backprop", "--data", "mine.npz", *QUICK, "--out", "run")
    assert "--out run holds a run already" in sentence
    assert "`metaplastic resume run`" in sentence
    assert contents(finished) == before


def test_folder_that_holds_something_else(says, folder):
    (folder / "papers").mkdir()
    (folder / "papers" / "thesis.tex").write_text("all my work")
    sentence = says(2, "train", "backprop", "--data", "mine.npz", *QUICK, "--out", "papers")
    assert "papers holds other files" in sentence
    assert contents(folder / "papers") == {"thesis.tex": b"all my work"}


@pytest.mark.parametrize("out", ["mine.npz", "mine.npz/run", "locked/run", "/proc/run"])
def test_folder_that_cannot_be_made(says, folder, out, monkeypatch):
    if out.startswith("locked"):
        (folder / "locked").mkdir()

        def refuse(*args, **options):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "mkdir", refuse)  # for root, every folder can be written
    before = contents(folder)
    status = 2 if out == "mine.npz" else 1
    assert out in says(status, "train", "backprop", "--data", "mine.npz", *QUICK, "--out", out)
    assert contents(folder) == before


@pytest.mark.parametrize(
    "argv", [["resume", "run", "--quiet"], ["train", "backprop", "--out", "run"]]
)
def test_second_writer(says, folder, argv):
    (folder / "run").mkdir()
    with RunFolder.create(folder / "run", "run") as writer:
        if argv[0] == "resume":
            writer.write_config({"command": "train"})
        before = contents(folder)
        sentence = says(1, *argv)
        assert f"run is being written by process {os.getpid()}" in sentence
        assert contents(folder) == before


# Runs that were damaged or changed


def test_finished_run_is_left_as_it_is(capsys, finished):
    before = contents(finished)
    assert main(["resume", "run", "--json", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert without_times(json.loads(shown.out)) == without_times(
        {k: v for k, v in json.loads(before["result.json"]).items() if k != "schema"}
    )
    assert shown.err == ""
    assert contents(finished) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 99}'])
def test_damaged_config(says, unfinished, text):
    (unfinished / "config.json").write_text(text)
    before = contents(unfinished)
    says(1, "resume", "run", "--quiet")
    assert contents(unfinished) == before


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"epochs": "two"}, "has epochs 'two' where a whole number belongs"),
        ({"epocs": 2}, "unknown option 'epocs': did you mean 'epochs'?"),
        ({"hidden": [4.5]}, "has hidden [4.5] where a list of which each is a whole number"),
    ],
)
def test_options_of_another_type_in_a_config(says, unfinished, change, advice):
    config = json.loads((unfinished / "config.json").read_text())
    config["options"] |= change
    (unfinished / "config.json").write_text(json.dumps(config))
    assert advice in says(2, "resume", "run", "--quiet")


def test_result_of_something_else(says, finished):
    """Named, with the way back."""
    whole = json.loads((finished / "result.json").read_text())
    (finished / "result.json").write_text('{"schema": 1}')
    assert "result.json is not what this run has written" in says(1, "resume", "run", "--quiet")
    (finished / "result.json").unlink()
    assert main(["resume", "run", "--quiet"]) == 0
    again = json.loads((finished / "result.json").read_text())
    assert without_times(again) == without_times(whole)


def test_damaged_metrics(says, unfinished):
    lines = (unfinished / "metrics.jsonl").read_text().splitlines()
    (unfinished / "metrics.jsonl").write_text("\n".join([lines[0], lines[1][:20], *lines[2:], ""]))
    before = contents(unfinished)
    assert "metrics.jsonl, line 2, is damaged" in says(1, "resume", "run", "--quiet")
    assert contents(unfinished) == before


@pytest.mark.parametrize("harm", ["truncated", "deleted", "tampered"])
def test_damaged_checkpoint(says, capsys, finished_once, unfinished, harm):
    """Named, with the way back; the way back leads to the same result."""
    newest = unfinished / "checkpoints" / "9"
    victim = max((path for path in newest.rglob("d/*")), key=lambda path: path.stat().st_size)
    data = victim.read_bytes()
    if harm == "deleted":
        victim.unlink()
    else:
        victim.write_bytes(data[:10] if harm == "truncated" else data[:-1] + b"!")
    before = contents(unfinished)
    sentence = says(1, "resume", "run", "--quiet")
    assert f"{newest} cannot be used" in sentence
    assert (
        f"{victim.relative_to(newest)} is {'missing' if harm == 'deleted' else 'damaged'}"
        in sentence
    )
    assert "delete that folder to go on from the one before it" in sentence
    assert contents(unfinished) == before
    if harm == "deleted":
        shutil.rmtree(newest)
        assert main(["resume", "run", "--quiet"]) == 0
        assert_same_result(unfinished, finished_once / "run")


def test_changed_data(says, unfinished, folder):
    changed = arrays()
    changed["x_train"][0, 0] += 1
    np.savez(folder / "mine.npz", **changed)
    before = contents(unfinished)
    sentence = says(2, "resume", "run", "--quiet")
    assert "is not the data that run was started with" in sentence
    assert contents(unfinished) == before


def test_data_that_are_gone(says, unfinished, folder):
    (folder / "mine.npz").unlink()
    assert "mine.npz" in says(1, "resume", "run", "--quiet")


# Full disks


def assert_same_result(run: Path, reference: Path) -> None:
    for name in ("metrics.jsonl", "result.json"):
        texts = [(own / name).read_text() for own in (run, reference)]
        lines = [[text] if name == "result.json" else text.splitlines() for text in texts]
        mine, theirs = ([json.loads(line) for line in own] for own in lines)
        assert without_times(mine) == without_times(theirs)


def full(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["checkpoint", "metrics", "files"])
def test_full_disk(says, folder, finished_once, monkeypatch, where):
    """After the first checkpoint nothing can be written; then there is space again."""
    saved = Checkpoints.save
    with monkeypatch.context() as patch:

        def save(self, step, state):
            saved(self, step, state)
            if where == "metrics":
                patch.setattr(records, "_write_all", full)
            elif where == "files":
                patch.setattr(Path, "write_bytes", full)
            else:
                patch.setattr(self._manager, "save", full)

        patch.setattr(Checkpoints, "save", save)
        argv = ["train", "backprop", "--data", "mine.npz", *QUICK, "--out", "run"]
        sentence = says(1, *argv)
    assert sentence.startswith("disk full while writing ")
    assert "free some space, then" in sentence
    assert "`metaplastic resume run`" in sentence
    assert Checkpoints(folder / "run" / "checkpoints", run=folder).latest() is not None
    assert main(["resume", "run", "--quiet"]) == 0
    assert_same_result(folder / "run", finished_once / "run")


def test_ctrl_c_in_a_save_that_then_fails_to_tidy_up(folder, monkeypatch):
    checkpoints = Checkpoints(folder / "checkpoints", run=folder)

    def save(*given, **options):
        try:
            raise asyncio.CancelledError  # what Ctrl-C is within the loop of Orbax
        finally:
            raise OSError(errno.ENOTEMPTY, "Directory not empty")

    monkeypatch.setattr(checkpoints._manager, "save", save)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(1, {})


def test_late_reports_of_a_failed_save_are_not_shown(folder, caplog, monkeypatch):
    """Orbax's threads may log their own failures after the save has raised."""
    from absl import logging

    code = compile("def report(): logging.error('too late')", "/lib/orbax/late.py", "exec")
    orbax = {"logging": logging}
    exec(code, orbax)
    monkeypatch.setattr(logging.get_absl_logger(), "filters", [])  # saves of other tests failed too
    checkpoints = Checkpoints(folder / "checkpoints", run=folder)
    orbax["report"]()
    assert [record.getMessage() for record in caplog.records] == ["too late"]
    caplog.clear()
    checkpoints._manager.save = full
    with pytest.raises(MetaplasticError, match="disk full"):
        checkpoints.save(1, {})
    orbax["report"]()
    assert not caplog.records
    logging.error("of someone else")
    assert [record.getMessage() for record in caplog.records] == ["of someone else"]


def test_really_full_disk(line, folder, finished_once):
    """A file system of a few hundred kilobytes, in a process of its own."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    try:
        shutil.copy(folder / "mine.npz", line.folder)
        filler = disk / "filler"
        filler.write_bytes(bytes(880_000))
        argv = ["train", "backprop", "--data", "mine.npz", *QUICK, "--out", str(disk / "run")]
        status, out, err = line.run(*argv)
        assert (status, out) == (1, "")
        (sentence,) = err.splitlines()
        assert "disk full while writing " in sentence
        assert f"`metaplastic resume {disk / 'run'}`" in sentence
        assert (disk / "run" / "config.json").exists()
        filler.unlink()
        status, _, err = line.run("resume", str(disk / "run"), "--quiet")
        assert (status, err) == (0, "")
        assert_same_result(disk / "run", finished_once / "run")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
