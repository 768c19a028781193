"""Settings of the CIFAR-10 tables against the configuration files of the published code."""

import pytest

from metaplastic.papers.feedback_alignment_benchmark import PAPER

CIFAR = [own for own in PAPER.experiments if "cifar10" in own.name]
RATES = {
    "lenet_cifar10_sgd": {"FA": 0.001, "DFA": 0.0001},
    "lenet_cifar10_adam": {"FA": 0.0001, "DFA": 0.0001},
    "resnet20_cifar10_sgd": {"DFA": 0.001},
    "resnet20_cifar10_adam": {},
}


def test_all_four_are_there():
    assert {own.name for own in CIFAR} == set(RATES)


@pytest.mark.parametrize("experiment", CIFAR, ids=lambda own: own.name)
def test_published_settings(experiment):
    short = experiment.name.rpartition("_")[2]
    for arm in experiment.full:
        own = arm.options
        assert own.initialiser == "xavier_uniform"
        assert arm.fields.get("feedback_init", "xavier_uniform") == "xavier_uniform"
        assert (arm.rule in ("backprop", "shallow")) == ("feedback_init" not in arm.fields)
        assert own.augment
        assert (own.validation, own.select) == (5000, "best")
        assert (own.epochs, own.batch_size, own.weight_decay) == (250, 128, 1e-4)
        assert (own.schedule, own.milestones, own.decay) == ("step", (100, 150, 200), 0.1)
        assert (own.optimiser, own.momentum) == ({"sgd": "momentum", "adam": "adam"}[short], 0.9)
        usual = 0.1 if short == "sgd" else 0.001
        assert arm.rates == (RATES[experiment.name].get(arm.setting, usual),)
