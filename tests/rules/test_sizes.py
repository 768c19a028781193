"""Sizes of weights that runs record, against NumPy."""

import jax
import numpy as np
import pytest
from helpers import network

from metaplastic.models import plastic_layers
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.rules.kolen_pollack import KolenPollack
from metaplastic.rules.pepita import Pepita
from metaplastic.rules.sign_symmetry import SignSymmetry
from metaplastic.rules.weight_mirror import WeightMirror


def norm(weight) -> float:
    return float(np.sqrt((np.asarray(weight) ** 2).sum()))


@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize("rule", [FeedbackAlignment, KolenPollack, WeightMirror])
def test_feedback_weights_beside_forward_ones(rule, kind, x64, getkey):
    model = network(kind, key=getkey())
    own = rule(feedback_scale=0.7)
    state = own.init(model, key=getkey())
    forward = [layer.weight for layer in plastic_layers(model)]
    expected = {f"|B{i}|/|W{i}|": norm(state[i - 1]) / norm(forward[i - 1]) for i in (2, 3)}
    if rule is KolenPollack:
        expected |= {f"|W{i}-B{i}|": norm(forward[i - 1] - state[i - 1]) for i in (2, 3)}
    assert own.sizes(model, state) == pytest.approx(expected)


def test_uniform_magnitudes(x64, getkey):
    model = network("dense", key=getkey())
    own = SignSymmetry(feedback_init="xavier_uniform")
    found = own.sizes(model, own.init(model, key=getkey()))
    for index, layer in enumerate(plastic_layers(model)[1:], 2):
        n_in, n_out = layer.weight.shape
        size = np.sqrt(2 / (n_in + n_out) * n_in * n_out)
        assert found[f"|B{index}|/|W{index}|"] == pytest.approx(size / norm(layer.weight))


def test_input_feedback(x64):
    model = network("dense", key=jax.random.key(0))
    fixed, mirrored = Pepita(), Pepita(mirror=True)
    state = fixed.init(model, key=jax.random.key(1))
    assert fixed.sizes(model, state) == pytest.approx({"std(F)": float(np.std(state.feedback))})
    found = mirrored.sizes(model, mirrored.init(model, key=jax.random.key(1)))
    assert set(found) == {"std(F)", "|B1|/|W1|", "|B2|/|W2|", "|B3|/|W3|"}
    assert found["std(F)"] == pytest.approx(0.05 * np.sqrt(2 / 5))
