"""Rules of rule files in a comparison: they train as elsewhere, and go on from the run's copy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from small_data import small_dataset

from metaplastic import rule_file
from metaplastic._errors import MetaplasticError, UsageError
from metaplastic.report.records import RunFolder
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.pool import Pool, PoolState
from metaplastic.train import TrainOptions, compare as compare_module, run as train_run
from metaplastic.train.compare import Protocol, compare, resume

OPTIONS = TrainOptions(
    hidden=(4,), batch_size=5, epochs=2, validation=0.2, alignment=False, checkpoint_every=1
)
SHARED = Protocol(options=OPTIONS, rates=(0.3, 3.0), seeds=(0, 1))
BIO = {"pseudo_gradient": 0.056, "ehebb": -0.071, "oja": 0.012}


class Interrupting:
    """Interrupts at an update of the entrant `title`; counts those that it lets pass."""

    def __init__(self, title: str, after: int):
        self.title, self.left = title, after
        self.watched = False

    def begin(self, total, *, unit="steps", title=""):
        self.watched = title.startswith(self.title)

    def compiling(self, what=""): ...
    def note(self, text): ...

    def update(self, done, metrics=None):
        self.left -= self.watched
        if self.watched and self.left < 0:
            raise KeyboardInterrupt


def write(path, rule=None, values=BIO):
    """A rule file with values that no rule starts from."""
    state = PoolState({name: jnp.asarray(own, jnp.float32) for name, own in values.items()}, None)
    rule_file.save(path, rule or Pool(), state, {"use": {"hidden": [5, 5]}})
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "bio.safetensors")


@pytest.fixture
def rules(path):
    return [("backprop", "backprop", Backprop()), ("bio", "bio", rule_file.load(path))]


@pytest.fixture(autouse=True)
def data(monkeypatch):
    monkeypatch.setattr(compare_module.data, "load", lambda name: small_dataset())


def made(tmp_path, name: str) -> RunFolder:
    return RunFolder.create(tmp_path / name, "run")


def rows(result):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result["rules"]]


def test_row_is_that_of_a_run_of_the_file(tmp_path, rules, path):
    with made(tmp_path, "all") as folder:
        [row] = compare(rules[1:], SHARED, folder=folder)["rules"]
    assert (row["rule"], row["name"], row["fields"]["granularity"]) == ("bio", "pool", "global")
    assert row["sha256"] == rule_file.read(path).sha256
    options = dataclasses.replace(OPTIONS, lr=row["best_lr"])
    with made(tmp_path, "one") as folder:
        alone = train_run("bio", rule_file.load(path), options, seeds=2, folder=folder)
    assert row["test_accuracy"] == alone["test_accuracy"]
    assert row["formula"] == alone["formula"]
    assert row["formula"] == "dW = -0.056 e x^T + 0.071 e d^T + 0.012 (y x^T - y y^T W)"
    assert len(row["grid"]) == 2


def test_interrupted_comparison_goes_on_to_the_same_bits(tmp_path, rules, path):
    """In the grid, then in the final run, without the file that it was started with."""
    with made(tmp_path, "whole") as folder:
        whole = compare(rules[1:], SHARED, folder=folder)
    with made(tmp_path, "stopped") as folder, pytest.raises(KeyboardInterrupt):
        compare(rules[1:], SHARED, folder=folder, reporter=Interrupting("bio, 2 rates", 1))
    path.unlink()
    with RunFolder.open(tmp_path / "stopped", write=True) as folder:
        with pytest.raises(KeyboardInterrupt):
            resume(folder, reporter=Interrupting("bio, --lr", 1))
        assert folder.read_result() is None
        assert rows(resume(folder)) == rows(whole)


def test_copy_that_is_not_that_of_the_run(tmp_path, rules):
    with made(tmp_path, "run") as folder:
        with pytest.raises(KeyboardInterrupt):
            compare(rules, SHARED, folder=folder, reporter=Interrupting("backprop", 0))
        copy = folder.path / folder.read_config()["rules"][1]["file"]
        whole = copy.read_bytes()
        copy.write_bytes(whole[:-1] + b"\x01")
        with pytest.raises(MetaplasticError, match="has been changed since it was written"):
            resume(folder)
        write(copy, values={**BIO, "oja": 0.5})
        with pytest.raises(UsageError, match=r"is not the rule file that .* was started with"):
            resume(folder)
        copy.unlink()
        with pytest.raises(UsageError, match="no rule file"):
            resume(folder)
        copy.write_bytes(whole)
        with pytest.raises(KeyboardInterrupt):
            resume(folder, reporter=Interrupting("bio", 0))


def test_rule_of_another_network_is_refused_before_any_work(tmp_path, rules):
    layers = {name: np.full(3, value) for name, value in BIO.items()}
    deep = write(tmp_path / "deep.safetensors", Pool(granularity="layer"), layers)
    with made(tmp_path, "run") as folder:
        with pytest.raises(UsageError, match="was made for another network") as told:
            compare([*rules, ("deep", "deep", rule_file.load(deep))], SHARED, folder=folder)
        assert {own.name for own in folder.path.iterdir()} == {"run.lock"}
    assert str(told.value).endswith("such as --hidden 5 5")


def test_labels_that_would_share_a_folder(tmp_path, rules):
    _, (_, name, rule) = rules
    both = [("runs/a", name, rule), ("runs_a", name, rule)]
    with (
        made(tmp_path, "run") as folder,
        pytest.raises(UsageError, match="share the folder runs_a"),
    ):
        compare(both, SHARED, folder=folder)
