"""`metaplastic list`: what there is, for people and as JSON."""

import json

import pytest

from metaplastic import _registry
from metaplastic.cli.__main__ import main


def test_everything_in_one_document(capsys):
    assert main(["list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == _registry.KINDS.keys()
    for kind, rows in document.items():
        assert [row["name"] for row in rows] == list(_registry.names(kind))


@pytest.mark.parametrize("alias", ["data", "datasets"])
def test_one_kind(capsys, alias):
    assert main(["list", alias, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in document["datasets"]] == list(_registry.names("datasets"))


def test_rules_have_the_table_of_their_properties(capsys):
    assert main(["list", "rules"]) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines() if line.strip().startswith("backprop ")]
    assert lines[1][:3] == ["backprop", "no", "chain"]
    assert "transport" in shown


def test_discovered_rules_and_the_commands_that_made_them(capsys):
    assert main(["list", "rule-files"]) == 0
    shown = capsys.readouterr().out
    assert "fbio: accuracy" in shown and "e d^T" in shown
    assert shown.count("metaplastic meta online --rule pool") == 4
    assert main(["list", "rule-files", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)["rule-files"]
    assert {own["name"] for own in cards} >= {"ehebb", "fbio", "oja", "sparse_pool"}


def test_json_carries_the_properties(capsys):
    assert main(["list", "rules", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rules"]}
    assert rows["backprop"]["properties"]["weight_transport"] == "yes"


def test_a_users_file_is_listed_with_its_place_and_a_broken_one_with_its_fault(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "good.py").write_text('"""Mine."""\nclass Mine:\n    properties = None\n')
    (tmp_path / "bad.py").write_text("def f(:\n")
    monkeypatch.setenv(_registry.PLUGINS, str(tmp_path))
    assert main(["list", "rules"]) == 0
    shown = capsys.readouterr().out
    assert f"Mine.  ({tmp_path / 'good.py'})" in shown
    assert "bad.py does not parse: line 1" in shown


@pytest.mark.parametrize(
    ("argv", "advice"),
    [
        (["ruels"], "did you mean 'rules'?"),
        (["rules", "models"], "one kind at a time"),
        (["--jsno"], "did you mean '--json'?"),
    ],
)
def test_wrong_usage(capsys, argv, advice):
    assert main(["list", *argv]) == 2
    assert advice in capsys.readouterr().err


def test_help(capsys):
    assert main(["list", "--help"]) == 0
    assert "usage: metaplastic list" in capsys.readouterr().out
