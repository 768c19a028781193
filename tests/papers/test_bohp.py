"""The experiments of Miconi (2016) with fresh seeds: what is learned, and what controls cannot."""

from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaplastic.analysis.hebbian import completion_roles, label_roles, sign_law
from metaplastic.learners.hebbian import hebbian
from metaplastic.meta.unrolled import Unrolled
from metaplastic.papers._bohp_protocol import COMPLETION, ONE_SHOT, REVERSAL
from metaplastic.papers.base import StudyArm
from metaplastic.papers.bohp import PAPER
from metaplastic.train.fit import Silent
from metaplastic.train.meta_trainer import MetaTrainer

pytestmark = pytest.mark.usefixtures("optimised")


class Run:
    """Published errors and metrics [seeds, episodes] of fresh seeds, and the plastic layer."""

    def __init__(self, protocol, seeds, episodes=None, *, gamma=None, **options):
        task, eta = protocol.make_task(), 1 - (gamma or protocol.gamma)
        settings = protocol.options(episodes)
        trainer = MetaTrainer(
            lambda key: hebbian(task, eta=eta, key=key, **options), task, Unrolled(), settings
        )
        state = trainer.initial(range(seeds))
        state, metrics = trainer.chunk(state, 0, length=settings.steps)
        self.error = np.asarray(metrics.loss, np.float64) / protocol.judged
        self.metric = np.asarray(metrics.metric, np.float64)
        self.layer = state.learner.layers[0]
        frozen = settings.frozen_last
        self.last_error = self.error[:, -frozen:].mean(1)
        self.last_metric = self.metric[:, -frozen:].mean(1)

    def episodes_below(self, level):
        """Median over seeds of the first episode at which the mean of 50 errors is below."""
        total = np.pad(self.error.cumsum(1), ((0, 0), (1, 0)))
        below = (total[:, 50:] - total[:, :-50]) / 50 < level
        return np.median(np.where(below.any(1), below.argmax(1) + 50, np.inf))


# Reduced: a few seeds, the first part of meta-training


@pytest.mark.slow
def test_one_shot_is_learned_by_plasticity_alone():
    plastic = Run(ONE_SHOT, 8, 2500)
    fixed = Run(ONE_SHOT, 8, 2500, plastic=False)
    assert np.median(plastic.last_metric) > 0.95 and np.median(plastic.last_error) < 0.2
    assert abs(fixed.last_error.mean() - 0.693) < 0.005
    assert abs(fixed.last_metric.mean() - 0.5) < 0.03


@pytest.mark.slow
def test_completion_is_learned_by_plasticity_alone():
    plastic = Run(COMPLETION, 8, 1500, gamma=0.5)
    fixed = Run(COMPLETION, 8, 1500, gamma=0.5, plastic=False)
    assert np.median(plastic.last_error) < 0.05 and (plastic.last_metric < 0.01).all()
    # Seven bits of eight cannot be known: a squared error of 1 each.
    assert 7.0 < fixed.last_error.mean() < 7.8


@pytest.mark.slow
def test_reversal_needs_a_negative_unit():
    run = Run(REVERSAL, 12, 3000)
    law = sign_law(run.layer.plasticity.alpha, run.last_metric, solved=0.95)
    assert law[0]["seeds"] and law[0]["solved"] == 0
    assert law[1]["seeds"] and law[1]["solved"] == law[2]["solved"] == 1


# Full size


@pytest.mark.slow
def test_completion_at_full_size():
    run = Run(COMPLETION, 100, gamma=0.5)
    assert (run.metric[:, -500:] == 0).all()  # every pattern, in every seed
    assert 0.0015 < np.median(run.last_error) < 0.0025
    for level, episode in {1.0: 305, 0.1: 725, 0.01: 1315}.items():
        assert abs(run.episodes_below(level) / episode - 1) < 0.1
    roles = completion_roles(run.layer.weight, run.layer.plasticity.alpha)
    assert roles["diagonal w"].min() > 10 * roles["off-diagonal |w|"].max()
    # In some seeds a bit or two speak to themselves through the trace as well.
    assert 5 < np.median(roles["off-diagonal alpha"]) < 7
    assert np.median(roles["diagonal |alpha|"]) < 0.1


@pytest.mark.slow
def test_one_shot_at_full_size():
    run = Run(ONE_SHOT, 60)
    assert run.last_metric.min() > 0.95
    assert abs(run.episodes_below(0.3) - 630) < 100
    assert abs(run.episodes_below(0.05) - 1130) < 200
    roles = label_roles(run.layer.weight, run.layer.plasticity.alpha)
    means = {name: values.mean() for name, values in roles.items()}
    assert 5 < means["label |w|"] < 7 and means["pattern |w|"] < 0.01
    assert means["label |alpha|"] < 1e-3 < means["pattern |alpha|"]


@pytest.mark.slow
def test_reversal_at_full_size():
    run = Run(REVERSAL, 60)
    solved = run.last_metric > 0.99
    assert abs(solved.mean() - 0.75) < 0.12
    assert abs(np.median(run.last_error[solved]) - 0.0012) < 0.0005
    law = sign_law(run.layer.plasticity.alpha, run.last_metric)
    assert [law[units]["solved"] for units in (0, 1, 2)] == [0, 1, 1]


@pytest.mark.slow
def test_controls_at_full_size():
    assert abs(Run(ONE_SHOT, 20, plastic=False).last_error.mean() - 0.693) < 0.002
    assert abs(Run(REVERSAL, 20, plastic=False).last_error.mean() - 0.6161) < 0.0005
    assert 7.0 < Run(COMPLETION, 20, gamma=0.5, plastic=False).last_error.mean() < 7.8
    positive = Run(REVERSAL, 20, positive=True)
    assert (np.asarray(positive.layer.plasticity.alpha) >= np.float32(1e-6)).all()
    assert positive.last_metric.max() < 0.75  # none is solved
    assert Run(ONE_SHOT, 20, positive=True).last_metric.min() > 0.9


# The reproduction as a whole


def test_every_arm_can_be_made():
    names = set()
    for experiment in PAPER.experiments:
        assert experiment.quick and all(arm in experiment.full for arm in experiment.quick)
        for arm in experiment.full:
            if isinstance(arm, StudyArm):
                continue
            arm.options.check()
            made = arm.design.make()
            made.build(jax.random.key(0))
            assert (experiment.name, arm.setting) not in names
            names.add((experiment.name, arm.setting))
    assert [own.name for own in PAPER.experiments][-1] == "roles"
    reported = [arm.reported for own in PAPER.experiments for arm in own.full if arm.reported]
    assert len(reported) == 3 and {own.provenance for own in reported} == {"source"}


def roles(monkeypatch, protocol, alphas, test):
    """What the study of a task says of networks with these coefficients, and their tests."""
    task, key = protocol.make_task(), jax.random.key(0)
    first = eqx.filter_jit(lambda: hebbian(task, key=key))()
    made = [eqx.tree_at(lambda own: own.layers[0].plasticity.alpha, first, own) for own in alphas]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *made)
    learned = SimpleNamespace(
        trainer=SimpleNamespace(test_task=task, learner=lambda own: own.learner),
        outcome=SimpleNamespace(test=np.asarray(test), state=SimpleNamespace(learner=stacked)),
        replicas=lambda: [SimpleNamespace(learner=own, key=jax.random.key(1)) for own in made],
    )
    monkeypatch.setattr("metaplastic.papers._bohp_roles.meta_trained", lambda *_, **__: learned)
    (experiment,) = (own for own in PAPER.experiments if own.name == "roles")
    arms = {arm.setting.replace(" ", "_"): arm for arm in experiment.quick}
    folder: Any = None
    return arms[protocol.task].study((0, 1, 2), folder, Silent())


SOME = jnp.ones((10, 2))
ALPHAS = [SOME, SOME.at[:, 0].set(-1), SOME]
"""Of three seeds; one unit is negative."""


def test_roles_and_the_sign_law_are_rows_of_the_reproduction(monkeypatch):
    ratio = lambda learner, *_: 2.0 + learner.layers[0].plasticity.alpha[5]  # noqa: E731
    monkeypatch.setattr("metaplastic.papers._bohp_roles._imprints", ratio)
    found = roles(monkeypatch, REVERSAL, ALPHAS, [[0.6], [1.0], [0.8]])
    assert found.rows["0 of 2 units negative"].tolist() == [0.6, 0.8]
    assert found.rows["1 of 2 units negative"].tolist() == [1.0]
    assert "2 of 2 units negative" not in found.rows
    np.testing.assert_allclose(found.rows["pattern |alpha|"], 1)
    assert found.metrics["pattern |alpha|"] == "mean over synapses"
    assert found.rows["imprint of negative units"].tolist() == [1]
    assert found.rows["imprint of the others"].tolist() == [3, 3, 3]


@pytest.mark.slow
def test_imprints_of_negative_units_shrink(monkeypatch):
    found = roles(monkeypatch, REVERSAL, ALPHAS, [[0.6], [1.0], [0.8]])
    shrunk, grown = (found.rows[f"imprint of {who}"] for who in ("negative units", "the others"))
    assert shrunk.max() < grown.min()


def test_roles_of_completion(monkeypatch):
    alpha = 6 * (1 - jnp.eye(8))
    found = roles(monkeypatch, COMPLETION, [alpha], [[0.0]])
    assert {name: round(float(own[0]), 5) for name, own in found.rows.items()} | {
        "diagonal w": 0,
        "off-diagonal |w|": 0,
    } == {"diagonal w": 0, "off-diagonal |w|": 0, "off-diagonal alpha": 6, "diagonal |alpha|": 0}
