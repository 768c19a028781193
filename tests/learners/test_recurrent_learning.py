"""Plastic recurrent networks learn to remember, and others do not."""

import pytest

from metaplastic.learners.hebbian_recurrent import hebbian_recurrent
from metaplastic.meta.unrolled import Unrolled
from metaplastic.tasks.binary_patterns import BinaryPatterns
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer


def bit_error(task, options, **learner):
    """On fresh lifetimes, after meta-training."""

    def build(key):
        return hebbian_recurrent(task, **learner, key=key)

    trainer = MetaTrainer(build, task, Unrolled(), options)
    state, _ = trainer.chunk(trainer.initial([0]), 0, length=options.steps)
    return float(trainer.test(state).metric.mean())


@pytest.mark.slow
def test_it_learns_to_remember_and_a_fixed_network_does_not():
    task = BinaryPatterns(bits=20)
    options = MetaOptions(steps=300, meta_batch=8, lr=3e-3)
    assert bit_error(task, options) < 0.08
    assert bit_error(task, options, plastic=False) > 0.2


@pytest.mark.slow
def test_two_patterns_of_fifty_bits():
    """3,000 meta-steps of 8 lifetimes: a network without plasticity hardly leaves chance."""
    task = BinaryPatterns(bits=50)
    options = MetaOptions(steps=3000, meta_batch=8, lr=1e-3, test_lifetimes=1000)
    assert bit_error(task, options) < 0.012
    assert bit_error(task, options, plastic=False) > 0.14


@pytest.mark.slow
def test_five_patterns_of_a_hundred_bits():
    task = BinaryPatterns(bits=100, patterns=5, cycles=2, on=6, off=4)
    options = MetaOptions(steps=400, meta_batch=1, lr=3e-3)
    assert bit_error(task, options) < 0.09
