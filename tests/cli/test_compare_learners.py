"""`metaplastic compare --task`: rules, estimators and learners on the lifetimes of a task."""

import json

import pytest

from metaplastic._errors import UsageError
from metaplastic.cli import _compare_learners, compare
from metaplastic.cli.__main__ import main
from metaplastic.train.design import Part
from metaplastic.train.meta_options import MetaOptions

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


def test_without_a_name_the_estimators_that_fit(monkeypatch):
    """Those of a gradient, of which the learner can be settled or not."""
    tried = []

    class Trainer:
        def __init__(self, build, task, estimator, options):
            tried.append(type(estimator).__name__)
            if estimator.demands == "settles":
                raise UsageError("it does not settle")

        def check(self): ...

    monkeypatch.setattr("metaplastic.train.meta_trainer.MetaTrainer", Trainer)
    found = _compare_learners._fitting(dict(BASE), MetaOptions())
    assert {"unrolled", "truncated", "first_order"} <= set(found)
    assert not {"contrastive", "implicit", "cma_es"} & set(found)
    assert "Contrastive" in tried and "CmaEs" not in tried


@pytest.mark.parametrize("given", [["--task", "bilevel_quadratic"], ["--learner=complex_synapse"]])
def test_a_task_or_a_learner_means_estimators_and_no_rules(given, monkeypatch):
    monkeypatch.setattr(_compare_learners, "main", lambda names, rest: (names, rest))
    assert compare.main(given) == ([], given)


def test_a_learner_alone_needs_a_task():
    with pytest.raises(UsageError, match=r"no task given: .* --task TASK; there is: .*sinusoid"):
        compare.main(["--learner", "complex_synapse"])


def test_why_there_is_no_gradient_error_is_said(capsys, monkeypatch):
    monkeypatch.setattr("metaplastic.report.learner_tables.learner_table", lambda rows: Silent())
    rows = [
        {"label": "a", "gradient": {"no_reference": "too large"}},
        {"label": "b", "gradient": {"relative_error": 0.1}},
        {"label": "c", "gradient": {"no_reference": "too large"}},
        {"label": "d", "gradient": None},
    ]
    _compare_learners.show({"learners": rows})
    assert capsys.readouterr().out == "no gradient error of a, c: too large\n"


class Silent:
    def print(self): ...


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


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["reptile", "reptile"], "reptile is named twice: name it once, or with other options"),
        (["reptile", "--rates", "0.1", "-1"], "--rates -1: each learning rate must be positive"),
        (["reptile", "--rates", "0.1", "0.1"], "--rates names 0.1 twice"),
        (["reptile", "--rates", "0.1", "--grid-seeds", "3"], "--grid-seeds 3: choose from 1 to 1"),
    ],
)
def test_a_protocol_that_cannot_be(given, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *given, *SMALL]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*"))
