"""The paper's experiments are as published, and can be built."""

import equinox as eqx
import jax
import jax.random as jr
import pytest

from metaplastic import _registry
from metaplastic._errors import DataError
from metaplastic.papers.differentiable_plasticity import PAPER
from metaplastic.report.tables import verdict
from metaplastic.train.meta_trainer import MetaTrainer

ARMS = [
    pytest.param(arm, id=f"{own.name}-{scale}-{arm.setting}")
    for own in PAPER.experiments
    for scale in ("quick", "full")
    for arm in own.arms(scale)
    if "omniglot" not in own.name
    if arm.design.task.fields.get("data") != "cifar10"
]


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_can_be_built(arm):
    arm.options.check()
    build, task, _ = arm.design.make()
    learner = eqx.filter_eval_shape(build, jr.key(0))
    outputs = learner.readout.outputs if arm.design.learner.name == "lstm" else learner.outputs
    assert outputs == task.outputs and learner.weight.shape[0] >= task.outputs


def shapes(experiment, setting):
    """Time and size of an episode, and units of the network."""
    own = next(e for e in PAPER.experiments if e.name == experiment)
    arm = next(a for a in own.arms("full") if a.setting.startswith(setting))
    build, task, _ = arm.design.make()
    episode = jax.eval_shape(task.sample, jr.key(0))
    return episode.stream.x.shape, eqx.filter_eval_shape(build, jr.key(0))


def test_the_published_sizes():
    shape, learner = shapes("binary_patterns", "plastic")
    assert shape == (11, 1, 50) and learner.weight.shape == (51, 51)
    _, learner = shapes("binary_patterns", "not plastic")
    assert learner.weight.shape == (2051, 2051) and learner.plasticity is None
    _, learner = shapes("binary_patterns", "LSTM")
    assert learner.clamp.weight.shape == (2000, 3 * 50) and learner.input_scale == 100
    assert learner.weight.shape == (2050, 4 * 1950)
    shape, learner = shapes("large_patterns", "full")
    assert shape == (106, 1, 1000) and learner.plasticity.alpha.shape == (1001, 1001)
    _, learner = shapes("large_patterns", "simplest")
    assert learner.weight.shape == (1000, 1000) and learner.plasticity.eta == 0.01


def test_a_number_from_memory_never_enters_a_verdict():
    [own] = [e for e in PAPER.experiments if e.name == "omniglot"]
    [arm] = own.full
    assert arm.reported.provenance == "memory" and arm.reported.value == 98.3
    paper = {"value": arm.reported.value, "std": 0.8, "source": "", "provenance": "memory"}
    assert verdict({"mean": 98.3, "std": 0.1, "n": 10}, paper) is None


def test_missing_images_are_said_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.delenv("METAPLASTIC_DATA", raising=False)
    monkeypatch.setenv("METAPLASTIC_OFFLINE", "1")
    monkeypatch.setenv("METAPLASTIC_CACHE", str(tmp_path))
    [own] = [e for e in PAPER.experiments if e.name == "omniglot"]
    with pytest.raises(DataError, match="omniglot needs"):
        own.full[0].design.make()
    assert _registry.load("papers", "differentiable_plasticity") is PAPER


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting, least, most",
    [("retroactive modulation", 0.75, 0.96), ("no plasticity", 0.40, 0.60)],
)
def test_cues_that_pay_are_found_by_plasticity(setting, least, most):
    """Nobody can be right in more than 95 %: the first answers are guesses."""
    [own] = [e for e in PAPER.experiments if e.name == "cue_reward"]
    [arm] = [a for a in own.quick if a.setting == setting]
    trainer = MetaTrainer(*arm.design.make(), arm.options)
    state, _ = trainer.chunk(trainer.initial([0]), 0, length=500)
    assert least < float(trainer.test(state).metric.mean()) < most
