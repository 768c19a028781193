"""`metaplastic data`: list, fetch, verify; without a network."""

import json

import numpy as np
import pytest

from metaplastic.cli.__main__ import main


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """An empty cache, no network, one data set of one's own."""
    monkeypatch.setenv("METAPLASTIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("METAPLASTIC_OFFLINE", "1")
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    x, y = np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)


def test_list(capsys):
    assert main(["data", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["datasets"]}
    assert rows["digits"]["state"] == "shipped"
    assert rows["mnist"]["state"] == "not downloaded"
    assert rows["mine"]["state"] == "own file"
    assert rows["mine"]["train"] == 4


def test_list_for_people(capsys):
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert "1,437 + 360 examples of 8x8x1" in shown


def test_what_is_shipped_needs_no_network(capsys):
    assert main(["data", "fetch", "digits", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["fetched"]) == ["digits"]


def test_fetch_without_a_network(capsys):
    assert main(["data", "fetch", "mnist"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "offline" in shown.err
    assert shown.err.count("\n") == 1


def test_verify(capsys):
    assert main(["data", "verify", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert [(row["name"], row["state"]) for row in files] == [("digits", "ok")]


def test_verify_what_is_not_there(capsys):
    assert main(["data", "verify", "digits", "mnist"]) == 1
    shown = capsys.readouterr()
    assert "digits  digits.npz  ok" in shown.out
    assert "metaplastic data fetch mnist" in shown.err


@pytest.mark.parametrize(
    ("argv", "advice"),
    [
        (["ftch", "mnist"], "did you mean 'fetch'?"),
        (["fetch", "mnits"], "did you mean 'mnist'?"),
        (["fetch", "digits", "mnits"], "did you mean 'mnist'?"),
        (["fetch"], "name what to fetch"),
        (["list", "mnist"], "takes no names"),
        (["--queit"], "did you mean '--quiet'?"),
    ],
)
def test_wrong_usage(capsys, argv, advice):
    assert main(["data", *argv]) == 2
    assert advice in capsys.readouterr().err
