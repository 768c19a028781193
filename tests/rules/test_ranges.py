"""Options outside the ranges that their docstrings state, and options that say nothing."""

import jax.numpy as jnp
import pytest

from metaplastic._errors import UsageError
from metaplastic.rules.forward_forward import ForwardForward
from metaplastic.rules.kolen_pollack import KolenPollack
from metaplastic.rules.pepita import Pepita
from metaplastic.rules.sign_symmetry import SignSymmetry
from metaplastic.rules.weight_mirror import WeightMirror


@pytest.mark.parametrize(
    ("rule", "fields", "sentence"),
    [
        (Pepita, {"feedback_scale": 0}, "--rule.feedback-scale 0: it must be positive"),
        (Pepita, {"feedback_scale": -0.05, "mirror": True}, "--rule.feedback-scale -0.05: "),
        (Pepita, {"mirror": True, "mirror_rate": -1}, "--rule.mirror-rate -1: "),
        (Pepita, {"mirror": True, "mirror_decay": -0.5}, "--rule.mirror-decay -0.5: "),
        (Pepita, {"mirror": True, "mirror_noise": 0.0}, "--rule.mirror-noise 0.0: "),
        (Pepita, {"mirror": True, "mirror_batch": 1}, "it must be at least 2"),
        (WeightMirror, {"mirror_decay": 3}, "--rule.mirror-decay 3: it must be from 0 to 1"),
        (WeightMirror, {"mirror_decay": -1}, "--rule.mirror-decay -1: it must be from 0 to 1"),
        (WeightMirror, {"mirror_rate": -0.1}, "--rule.mirror-rate -0.1: "),
        (WeightMirror, {"noise": -1.0}, "--rule.noise -1.0: it must not be negative"),
        (WeightMirror, {"mirror_batch": 0}, "--rule.mirror-batch 0: it must be at least 1"),
        (WeightMirror, {"warmup_steps": -1}, "--rule.warmup-steps -1: it must not be negative"),
        (KolenPollack, {"decay": 1.0}, "--rule.decay 1.0: it must be at least 0 and below 1"),
        (ForwardForward, {"peer_momentum": 5}, "--rule.peer-momentum 5: it must be from 0 to 1"),
        (ForwardForward, {"peer_normalisation": -1.0}, "--rule.peer-normalisation -1.0: "),
        (ForwardForward, {"readout_rate": -1.0}, "--rule.readout-rate -1.0: "),
        (ForwardForward, {"readout_momentum": 1.0}, "--rule.readout-momentum 1.0: "),
        (ForwardForward, {"readout_decay": -1.0}, "--rule.readout-decay -1.0: "),
        (SignSymmetry, {"gradient_clip": -1.0}, "--rule.gradient-clip -1.0: it must be positive"),
    ],
)
def test_values_outside_their_range(rule, fields, sentence):
    with pytest.raises(UsageError) as caught:
        rule(**fields)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "culprit"),
    [
        ({"mode": "hebbian", "presynaptic": "standard"}, "--rule.presynaptic standard"),
        ({"mode": "time_local", "output_error": "second"}, "--rule.output-error second"),
        ({"mode": "time_local", "reuse_masks": False}, "--rule.reuse-masks False"),
        ({"mirror": True, "feedback_init": "ones"}, "--rule.feedback-init ones"),
        ({"mirror_rate": 0.2}, "--rule.mirror-rate 0.2"),
        ({"mirror_warmup": 3}, "--rule.mirror-warmup 3"),
    ],
)
def test_options_without_effect(fields, culprit):
    with pytest.raises(UsageError) as caught:
        Pepita(**fields)
    assert f"{culprit} has no meaning with" in str(caught.value)
    assert str(caught.value).endswith("leave it out")


def test_values_that_are_learned_pass():
    assert Pepita(feedback_scale=jnp.zeros(())).feedback_scale == 0
