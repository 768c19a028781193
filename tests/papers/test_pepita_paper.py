"""Every rule of the PEPITA tables stands beside frozen features of its own network."""

import dataclasses

import pytest

from metaplastic.papers.pepita import PAPER

ARMS = [
    pytest.param(experiment.arms(scale), id=f"{experiment.name}-{scale}")
    for experiment in PAPER.experiments
    for scale in ("quick", "full")
    if experiment.arms(scale)
]


@pytest.mark.parametrize("arms", ARMS)
def test_each_network_has_its_control(arms):
    def network(arm):
        return dataclasses.astuple(arm.options)

    frozen = [network(arm) for arm in arms if arm.rule == "shallow"]
    assert len(set(frozen)) == len(frozen) == 2  # ReLU, and the tanh of DRTP
    assert {network(arm) for arm in arms} == set(frozen)


def test_both_networks_of_the_table_have_a_quick_version():
    """Among the rules of Table 1."""
    quick = {own.name: own.quick for own in PAPER.experiments if own.quick}
    assert {arms[0].options.model for arms in quick.values()} == {"mlp", "pepita_conv"}
    table = {"backprop", "feedback_alignment", "drtp", "pepita", "shallow"}
    assert all(table <= {arm.rule for arm in arms} for arms in quick.values())
