"""The studies of rules over random feedback, on lifetimes of a few images."""

import dataclasses

import jax
import jax.random as jr
import numpy as np
import pytest
from toy_lifetimes import compiled

from metaplastic import rule_file
from metaplastic.learners.lifetime import lifetime
from metaplastic.papers import _pool_designs as designs, _pool_studies as studies
from metaplastic.papers.plasticity_pool import PAPER
from metaplastic.report.records import RunFolder
from metaplastic.train.design import Part
from metaplastic.train.fit import Silent
from metaplastic.train.meta_fit import meta_fit
from metaplastic.train.meta_trainer import MetaTrainer


def small(rule, hidden=(4, 3)):
    """A design of 25 images a lifetime."""
    own = designs.design("quick", rule, hidden=hidden)
    task = {**own.task.fields, "shots": 5, "queries": 2}
    return dataclasses.replace(own, task=Part("few_shot", task))


def measured(rule):
    made = small(rule).make()
    learner, episode = made.build(jr.key(0)), made.task.sample(jr.key(1))
    run = compiled(lambda own, episode: studies.measured(own, episode, key=jr.key(2)))
    return learner, episode, run(learner, episode)


@pytest.mark.slow
def test_symmetric_feedback_has_no_angle_and_leads_where_the_lifetime_does():
    learner, episode, point = measured({"terms": ("pseudo_gradient=0.5",), "feedback": "symmetric"})
    assert point.angle.shape == (25, 2)
    assert point.defect.shape == (25, 3)
    assert np.abs(point.angle).max() < 0.1
    lived = compiled(lambda own, episode: lifetime(own, episode, key=jr.key(2)))(learner, episode)
    accuracy = episode.criterion.score(lived.answers, episode.query.y).mean()
    assert np.isclose(point.accuracy[-1], accuracy)


def test_random_feedback_has_angles():
    _, _, point = measured({"terms": ("pseudo_gradient=0.01",)})
    assert 40 < point.angle.mean() < 140


def test_survivors(tmp_path):
    options = designs.options("quick", {}, **designs.TEN)
    few = dataclasses.replace(options, steps=4, record_every=1, test_lifetimes=2)
    study = studies.survivors(small({"terms": ("pseudo_gradient=1", "oja")}, ()), few, "two terms")
    with RunFolder.create(tmp_path / "run", "run") as folder:
        found = study((0, 1), folder, Silent())
    assert found.rows[""].shape == (2,)
    assert found.data["steps"] == [1, 2, 3, 4]
    assert np.shape(found.data["values"]["oja"]) == (4, 2)
    assert found.data["survivors"] == ["pseudo_gradient"]  # four steps lead four rates far
    assert found.rows["survivors"].tolist() == [1, 1]
    assert found.data["survives"] == {"oja": [False] * 2, "pseudo_gradient": [True] * 2}
    assert found.rows["pseudo_gradient survives"].tolist() == [1, 1]
    assert list(found.rows) == [
        *("", "survivors", "pseudo_gradient survives", "theta of pseudo_gradient"),
    ]
    assert set(found.metrics) == set(found.rows) - {""}
    last = np.asarray(found.data["values"]["pseudo_gradient"][-1])
    np.testing.assert_array_equal(found.rows["theta of pseudo_gradient"], last)


def test_coefficients_and_orthonormality_are_rows(tmp_path):
    options = dataclasses.replace(designs.options("quick", {}), steps=2, test_lifetimes=2)
    design = small({"terms": ("pseudo_gradient=0.01",)}, (4,))
    study = studies.in_a_lifetime(design, options, "one")
    with RunFolder.create(tmp_path / "run", "run") as folder:
        found = study((0, 1), folder, Silent())
    assert found.rows["theta of pseudo_gradient"].shape == (2,)
    defect = np.asarray(found.data["defect"])
    rows = [found.rows[f"weights of layer {layer}"].mean() for layer in (1, 2)]
    np.testing.assert_allclose(rows, defect[-1], rtol=1e-5)


def test_what_ships_is_what_survives():
    """The rule of the survivors has the terms that a majority of seeds keeps, and no other."""
    card = rule_file.load("sparse_pool").file.card
    assert set(card["rule"]["fields"]["terms"]) == set(designs.SURVIVORS)


def test_experiments():
    names = [own.name for own in PAPER.experiments]
    assert names == ["feedback", "pool", "rules", "layers", "mnist", "omniglot"]
    for experiment in PAPER.experiments:
        assert len(experiment.quick) == len(experiment.full)
        names = [arm.setting for arm in experiment.quick]
        assert len(set(names)) == len(names)
    feedback = PAPER.experiments[0]
    reported = [arm.reported.value for arm in feedback.full if arm.reported]
    assert reported == [70.0, 25.0]
    assert all(arm.reported is None for arm in feedback.quick)


@pytest.mark.slow
@pytest.mark.parametrize("arm", PAPER.experiments[0].quick, ids=lambda arm: arm.setting)
def test_designs_can_be_trained(arm):
    MetaTrainer(*arm.design.make(), arm.options).check()
    jax.clear_caches()


def rates(changed):
    """Learning rates by coefficient."""
    groups = designs.options("quick", {}, **{**designs.TEN, **changed}).groups()
    return {own.path.removeprefix("state.coefficients."): own.rate for own in groups}


def learned(rule, **changed):
    """`(mean accuracy of the last 40 meta-steps of three seeds, final coefficients)`."""
    options = designs.options("quick", rule, **{**changed, "test_lifetimes": 2, "record_every": 4})
    trainer = MetaTrainer(*designs.design("quick", rule).make(), options)
    outcome = meta_fit(trainer, (0, 1, 2))
    metric = [own["meta_metric"] for own in outcome.records if "meta_metric" in own]
    coefficients = outcome.state.learner.state.coefficients
    return np.mean(metric[-10:]), {name: np.asarray(own) for name, own in coefficients.items()}


@pytest.mark.slow
def test_the_discovered_rule_learns_where_random_feedback_alone_does_not(optimised):
    random, _ = learned({"terms": designs.GRADIENT})
    symmetric, _ = learned({"terms": designs.GRADIENT, "feedback": "symmetric"})
    found, coefficients = learned({"terms": designs.BIO})
    assert random <= 0.40
    assert symmetric >= 0.62
    assert found >= 0.62
    assert found - random >= 0.28
    assert (coefficients["ehebb"] < 0).all()


@pytest.mark.slow
def test_the_pool_learns_and_is_pruned(optimised):
    whole, _ = learned({"terms": ("published",)}, **designs.TEN)
    assert whole >= 0.70
    pruned, coefficients = learned({"terms": ("published",)}, **{**designs.TEN, **designs.SPARSE})
    assert pruned >= 0.70
    assert (np.abs(coefficients["ehebb"]) > 0.01).all()
    for name in designs.SURVIVORS:  # half of what the study asks for, on 40 meta-steps' mean
        assert np.median(np.abs(coefficients[name])) > 5 * rates(designs.SPARSE)[name]
    for name in ("mirrored_gradient", "mirrored_by_drive"):
        assert (np.abs(coefficients[name]) < 0.01).all()
