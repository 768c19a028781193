"""Contrastive meta-learning: its arms are made, and studies give rows, data and figures."""

import equinox as eqx
import jax.random as jr
import numpy as np
import pytest

from metaplastic.data import ImageClasses
from metaplastic.learners._strengths import strength_tree
from metaplastic.papers import _cml_beta, _cml_sinusoid, _reproduce, _rows
from metaplastic.papers.base import Experiment, Found, MetaArm, Paper, StudyArm
from metaplastic.papers.cml import PAPER
from metaplastic.report.draw import draw
from metaplastic.report.records import RunFolder
from metaplastic.report.tables import reproduction_table
from metaplastic.train.meta_fit import MetaOutcome
from metaplastic.train.meta_trainer import MetaTrainer


def experiment(name):
    return next(own for own in PAPER.experiments if own.name == name)


def blank_images(data, *, split, test_classes, side):
    """Twenty classes of twenty images each, for meta-training and for meta-testing."""
    shape = (400, side, side, 3 if data == "mini_imagenet" else 1)
    own = ImageClasses(data, np.zeros(shape, np.uint8), np.full(20, 20), 255.0)
    return own, own


@pytest.mark.parametrize("own", PAPER.experiments, ids=lambda own: own.name)
def test_every_arm_finds_its_parts(own, monkeypatch):
    """Learners and options of the arms exist; those of data sets without their data."""
    monkeypatch.setattr("metaplastic.tasks.few_shot.load_classes", blank_images)
    for scale in ("quick", "full"):
        arms = own.arms(scale)
        assert len({arm.setting for arm in arms}) == len(arms)
        for arm in arms if "regularisation" not in own.name else ():
            if isinstance(arm, MetaArm):
                MetaTrainer(*arm.design.make(), arm.options)


def test_nothing_is_quoted_of_the_papers_own_algorithm():
    quoted = [
        (arm.setting, arm.reported.provenance)
        for own in PAPER.experiments
        for arm in (*own.quick, *own.full)
        if arm.reported is not None
    ]
    assert quoted and not any(setting.startswith("CML") for setting, _ in quoted)
    assert {provenance for _, provenance in quoted} == {"secondary"}


def test_the_reference_networks_are_those_of_the_published_code(monkeypatch):
    monkeypatch.setattr("metaplastic.tasks.few_shot.load_classes", blank_images)
    arm = experiment("omniglot_5_way_1_shot").full[0]
    assert MetaTrainer(*arm.design.make(), arm.options).parameters == 112_261
    arm = experiment("spiking").full[0]
    assert MetaTrainer(*arm.design.make(), arm.options).parameters == 20_100
    arm = experiment("sinusoid").full[0]
    learner = eqx.filter_eval_shape(arm.design.make().build, jr.key(0))
    (strength,) = set(map(float, _leaves(strength_tree(learner.strength, 0, log=False))))
    assert strength == pytest.approx(2 / 1761)  # 1 times the mean, in the sum's half


def _leaves(value):
    return value if isinstance(value, list) else [value]


def test_a_study_gives_rows_that_a_resumed_run_keeps(tmp_path, monkeypatch):
    calls = []

    def study(seeds, folder, reporter):
        calls.append(seeds)
        return Found({"": np.array([1.0, 3.0]), "other": np.array([0.0, np.inf])}, {"x": [1.0]})

    arm = StudyArm(setting="ours", study=study)
    own = Experiment(name="e", title="", metric="error", quick=(arm,), seeds={"quick": 2})
    text = {"title": "T", "authors": "", "link": "", "bibtex": ""}
    paper = Paper(year=2022, experiments=(own,), **text)
    monkeypatch.setattr(_reproduce._registry, "load", lambda *_: paper)
    with RunFolder.create(tmp_path / "run", "x") as folder:
        result = _reproduce.reproduce("tiny", "quick", folder=folder)
        again = _reproduce.reproduce("tiny", "quick", folder=folder)
        drawn = draw(folder)
    assert [str(path.relative_to(folder.figures)) for path in drawn] == [
        *("e/rows_error.png", "e/rows_error.svg")
    ]
    assert calls == [(0, 1)]
    assert [row["setting"] for row in result["rows"]] == ["ours", "ours, other"]
    assert result["rows"][0]["ours"] == {"mean": 2.0, "std": 1.0, "n": 2}
    assert result["rows"][1]["ours"] is None and result["rows"][1]["verdict"] == "diverged"
    assert again["rows"] == result["rows"]
    (entry,) = again["studies"]
    assert entry["data"] == {"x": [1.0]} and entry["experiment"] == "e"


def test_an_arm_may_have_two_rows_and_seconds(tmp_path, monkeypatch):
    entry = {"test": {"per_seed": [0.5, 0.7], "higher_is_better": True}, "measure": [2.0, 4.0]}
    entry |= {"lifetimes_per_second": 50.0, "lifetimes": 100, "curve": {"step": [1, 2]}}
    monkeypatch.setattr(_rows, "meta_compete", lambda *_: entry)
    (arm, *_) = experiment("regularisation_mnist").quick
    own = Experiment(name="e", title="", quick=(arm,), timed=True)
    with RunFolder.create(tmp_path / "run", "x") as folder:
        rows, _ = _rows.run_arm(own, arm, "quick", (0, 1), folder, None)
    assert [row["metric"] for row in rows] == ["validation loss", "test accuracy, %"]
    assert [row["ours"]["mean"] for row in rows] == pytest.approx([3.0, 60.0])
    assert {row["seconds"] for row in rows} == {2.0}
    assert "seconds" in reproduction_table(rows).columns
    assert "seconds" not in reproduction_table([{**row, "seconds": None} for row in rows]).columns


def test_learned_strengths_have_the_published_phases():
    arms = {arm.setting: arm for arm in experiment("sinusoid").full}
    learner, estimator = (
        getattr(arms["CML, strengths learned"].design, part).fields
        for part in ("learner", "estimator")
    )
    assert (learner["steps"], learner["rate"]) == (1000, 0.01)
    assert estimator == {"beta": 1.0, "rate": 3e-4, "steps": 1000}


def test_nothing_of_a_random_body_is_learned():
    arms = {arm.setting: arm for arm in experiment("sinusoid").quick}
    arm, taught = arms["modulation of a random body"], arms["CML, modulation"]
    assert arm.design == taught.design
    trainer = MetaTrainer(*arm.design.make(), arm.options)
    assert not any(name.startswith("body") for name in trainer.leaves)


def test_curves_are_tested_all_along_the_last_fifth():
    for arm in experiment("sinusoid").quick:
        options = arm.options
        assert options.test_lifetimes == 1000 and options.test_every % options.chunk == 0
        assert options.steps < 100 or 0.15 < 4 * options.test_every / options.steps <= 0.2
    tests = {0: [9.0, 9.0], 1: [5.0, 7.0], 2: [4.0, 1.0], 3: [3.0, 1.0], 4: [2.0, 1.0]}
    records = [{"step": own, "test_metric": found} for own, found in tests.items()]
    records.insert(2, {"step": 1.5})
    outcome = MetaOutcome(records, None, np.zeros(0))
    assert _cml_sinusoid._late(None, outcome) == pytest.approx([3.5, 2.5])
    outcome.records = records[:2]
    assert _cml_sinusoid._late(None, outcome) == pytest.approx([5.0, 7.0])


def test_the_study_of_beta_has_a_row_a_solver(tmp_path):
    study = _cml_beta._contrast("one_sided", (1e-3, 1e-2), (5,))
    from metaplastic.train.fit import Silent

    with RunFolder.create(tmp_path / "run", "x") as folder:
        found = study((0,), folder, Silent())
    assert found.rows["5 steps"].shape == (1,)
    assert np.shape(found.data["error"]) == np.shape(found.data["bound"]) == (1, 2)
