"""Every rule, learner, task and estimator of the registry keeps the promises of its kind; a new
file is tested with no edit."""

import pytest
from helpers import spread

from metaplastic import _registry
from metaplastic.models import (
    Conv,
    Dense,
    GlobalAveragePool,
    Identity,
    Residual,
    Sequential,
    mlp,
    pepita_conv,
)
from metaplastic.rules.direct_feedback_alignment import DirectFeedbackAlignment
from metaplastic.rules.forward_forward import ForwardForward
from metaplastic.rules.pepita import Pepita
from metaplastic.rules.sign_symmetry import SignSymmetry
from metaplastic.testing import assert_conforms, check_model, check_rule

_LONG = {
    *("hebbian_readout", "weight_decay", "proximal", "modulated", "eprop"),
    *("image_patterns", "few_shot", "binary_patterns", "sinusoid_sequence", "one_shot"),
    *("evolution", "spiking_sinusoid", "wheel_bandit", "bilevel_quadratic", "implicit"),
    *("blur", "labelled_batches", "plane_functions", "associative_retrieval"),
    *("continual_familiarity", "complex_synapse", "contrastive", "fast_weights", "stpn", "cma_es"),
    *("hebbian_recurrent", "lstm", "hebb_ff", "reversal"),
    *("cue_reward", "regularisation", "reptile", "hebbian_recursion", "first_order", "persistent"),
}
"""Learners, tasks and estimators that are tried on demand: long to compile, or near kin of those
that are always tried."""


@pytest.mark.parametrize("name", _registry.names("rules"))
def test_rule(name):
    assert_conforms(_registry.load("rules", name))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, marks=[pytest.mark.slow] if name in _LONG else [])
        for kind in ("learners", "tasks", "estimators")
        for name in _registry.names(kind)
    ],
)
def test_member(kind, name):
    assert_conforms(_registry.load(kind, name))


# Modes whose steps differ from the default's; what they share with it is tested above.
_STEP = ("structure", "state", "dtype", "key", "jit")
_MODES = {
    "pepita hebbian": Pepita(mode="hebbian"),
    "pepita mirrored": Pepita(mirror=True),
    "direct feedback of the kernel's shape": DirectFeedbackAlignment(feedback="kernel"),
    "batchwise random magnitudes": SignSymmetry(mode="batchwise"),
    "linear read-out": ForwardForward(readout="linear"),
}


@pytest.mark.parametrize("mode", spread(_MODES, 2))
def test_mode_of_a_rule(mode):
    assert_conforms(_MODES[mode], only=_STEP)


def test_every_rule_supports_images():
    """A refusal counts as conforming, so that a rule could lose convolutions unnoticed."""
    for name in _registry.names("rules"):
        (finding,) = check_rule(_registry.load("rules", name), only=["networks"])
        assert "dense and convolutional" in finding.sentence, name
        refuses = "declared unsupported: residual" in finding.sentence
        assert refuses == (name == "forward_forward"), name


def networks(key):
    """A network of each kind."""
    yield mlp((5,), 3, hidden=(4,), activation="sigmoid", bias=True, key=key)
    yield mlp((5,), 3, hidden=(4,), dropout=0.5, norm="running", key=key)
    yield pepita_conv(
        (7, 6, 2), 3, filters=(2,), kernel=2, activation="tanh", norm="batch", key=key
    )
    body = Conv(2, 2, 3, padding=1, activation="identity", norm="batch", key=key)
    head = Dense(2, 3, activation="identity", key=key)
    residual = Residual(body, Identity(), "tanh")
    yield Sequential(residual, GlobalAveragePool(), head, input_shape=(4, 4, 2))


@pytest.mark.slow
def test_networks(getkey):
    for model in networks(getkey()):
        failures = [own for own in check_model(model) if own.status == "failed"]
        assert not failures
