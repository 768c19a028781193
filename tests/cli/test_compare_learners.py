"""`metaplastic compare --task`: rules, estimators and learners on the lifetimes of a task."""

import json

import pytest

from metaplastic._errors import UsageError
from metaplastic.cli import _compare_learners
from metaplastic.cli.__main__ import main
from metaplastic.train.design import Part

SMALL = ["--task", "sinusoid", "--learner.hidden", "4", "--steps", "10", "--test-lifetimes", "5"]
BASE = {
    "learner": Part("online", {"hidden": (4,)}),
    "rule": Part("backprop"),
    "estimator": Part("unrolled"),
    "task": Part("sinusoid"),
}


def test_rates_are_chosen_and_a_run_is_resumed(tmp_path, capsys):
    run = tmp_path / "run"
    argv = ["compare", "feedback_alignment", *SMALL, "--no-ends", "--rates", "0.001", "0.01"]
    assert main([*argv, "--seeds", "2", "--json", "--quiet", "--out", str(run)]) == 0
    result = json.loads(capsys.readouterr().out)
    [row] = result["learners"]
    assert (row["label"], row["rate_of"]) == ("feedback_alignment", "the lifetime")
    assert row["best_rate"] in (0.001, 0.01)
    assert row["test"]["n"] == 2
    (run / "result.json").unlink()
    assert main(["resume", str(run), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == result


def test_rules_stand_between_backprop_and_no_change():
    ends = _compare_learners._ends(["drtp"], dict(BASE))
    assert [label for label, _ in ends] == ["backprop", "no change within the lifetime"]
    assert ends[1][1].learner.fields["rate"] == 0.0
    assert len(_compare_learners._ends(["backprop"], dict(BASE))) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("drtp", {"rule": Part("drtp")}),
        ("reptile", {"estimator": Part("reptile")}),
        ("truncated:steps=3", {"estimator": Part("truncated", {"steps": 3})}),
        (
            "online:rule=drtp,estimator=first_order,rate=0.5",
            {
                "rule": Part("drtp"),
                "estimator": Part("first_order"),
                "learner": Part("online", {"hidden": (4,), "rate": 0.5}),
            },
        ),
        ("backprop:learner.hidden=3+2", {"learner": Part("online", {"hidden": [3, 2]})}),
    ],
)
def test_names_with_options(text, expected):
    label, design = _compare_learners._entrant(text, dict(BASE))
    assert label == text
    for kind, part in {**BASE, **expected}.items():
        own = getattr(design, kind)
        assert (own.name, list(own.fields)) == (part.name, list(part.fields))
        for name, value in part.fields.items():
            assert own.fields[name] in (value, tuple(value) if isinstance(value, list) else value)


def test_learner_without_a_rule():
    _, design = _compare_learners._entrant("hebbian", dict(BASE))
    assert (design.learner, design.rule) == (Part("hebbian"), None)
    with pytest.raises(UsageError, match="the learner hebbian takes no rule"):
        _compare_learners._entrant("hebbian:rule=drtp", dict(BASE))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("drtpp", "'drtpp' is no learner, rule or estimator: did you mean 'drtp'?"),
        ("drtp:scale", "unknown"),
        ("truncated:stepz=3", "did you mean '--steps'?"),
    ],
)
def test_wrong_names(name, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", name, *SMALL]) == 2
    shown = capsys.readouterr().err
    assert message in shown or "is no learner" in shown
    assert not list(tmp_path.glob("runs/*"))
