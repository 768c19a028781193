import jax
import jax.numpy as jnp
import optax
import pytest
from helpers import (
    assert_close,
    batch,
    deep_network,
    forward_weights,
    gradient,
    network,
    update,
)
from rewired import rewired_gradient

from metaplastic.losses import LOSSES
from metaplastic.models import mlp, plastic_layers
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.rules.sign_symmetry import SignSymmetry, SignSymmetryState

LOSS = LOSSES["cross_entropy"]


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_with_forward_magnitudes_is_the_gradient(kind, x64, getkey):
    model = network(kind, bias=True, norm="batch", dropout=0.3, key=getkey())
    x, y = batch(kind, key=getkey())
    key = getkey()
    state = SignSymmetryState(jax.tree.map(jnp.abs, forward_weights(model)), None)
    updates, _, _ = update(SignSymmetry(mode="fixed"), model, state, x, y, key=key)
    assert_close(updates, gradient(model, LOSS, x, y, key=key), 1e-12)


@pytest.mark.parametrize("kind", ["lenet", pytest.param("resnet20", marks=pytest.mark.slow)])
def test_uniform_feedback_is_a_number_times_the_sign(kind, x64, getkey, monkeypatch):
    model, x, y = deep_network(kind, key=getkey())
    rule, key = SignSymmetry(feedback_init="xavier_uniform", feedback_scale=2.0), getkey()
    feedback = [None]
    for layer in plastic_layers(model)[1:]:
        *receptive, pre, post = layer.weight.shape
        size = receptive[0] * receptive[1] if receptive else 1
        feedback.append(2 * (2 / (size * (pre + post))) ** 0.5 * jnp.sign(layer.weight))
    updates, _, _ = update(rule, model, rule.init(model, key=getkey()), x, y, key=key)
    oracle = rewired_gradient(monkeypatch, model, LOSS, x, y, feedback=feedback, key=key)
    assert_close(updates, oracle, 1e-11)


def test_signs_follow_the_forward_weights(x64, getkey):
    model = network("dense", key=getkey())
    flipped = jax.tree.map(jnp.negative, model)
    x, y = batch("dense", key=getkey())
    rule = SignSymmetry(mode="fixed")
    state = rule.init(model, key=getkey())
    magnitudes = state.magnitude
    assert all((magnitude >= 0).all() for magnitude in magnitudes[1:])
    signs = (None, *(jnp.sign(layer.weight) for layer in plastic_layers(flipped)[1:]))
    feedback = jax.tree.map(jnp.multiply, magnitudes, signs)
    key = getkey()
    updates, _, _ = update(rule, flipped, state, x, y, key=key)
    oracle, _, _ = update(FeedbackAlignment(), flipped, feedback, x, y, key=key)
    assert_close(updates, oracle, 1e-14)


def test_batchwise_magnitudes_come_from_the_key(x64, getkey):
    model = network("dense", key=getkey())
    x, y = batch("dense", key=getkey())
    rule = SignSymmetry(mode="batchwise")
    state = rule.init(model, key=getkey())
    assert jax.tree.leaves(state) == []
    key, other = getkey(), getkey()
    once, again, elsewhere = (
        plastic_layers(update(rule, model, state, x, y, key=k)[0]) for k in (key, key, other)
    )
    assert_close(again, once, 0)
    assert_close(elsewhere[-1], once[-1], 0)
    for a, b in zip(elsewhere[:-1], once[:-1], strict=True):
        assert not jnp.allclose(a.weight, b.weight, rtol=1e-2)


def test_drawing_magnitudes_leaves_the_dropout_masks(x64, getkey):
    model = network("dense", dropout=0.5, key=getkey())
    x, y = batch("dense", key=getkey())
    key = getkey()
    outputs = [
        update(rule, model, rule.init(model, key=key), x, y, key=key)[2].output
        for rule in (SignSymmetry(mode="batchwise"), Backprop())
    ]
    assert_close(*outputs, 0)


@pytest.mark.parametrize(
    "initialiser, mode, expected",
    [
        ("he_uniform", "uniform", 30.0),
        ("he_normal", "uniform", 37.1),
        ("he_uniform", "fixed", 41.4),
        ("he_uniform", "batchwise", 41.4),
    ],
)
def test_angles_in_closed_form(initialiser, mode, expected, getkey):
    """arccos(E|w| / sqrt(E w^2)), times the same factor of the magnitudes where they are drawn."""
    model = mlp((3,), 4, hidden=(500, 500), initialiser=initialiser, key=getkey())
    rule = SignSymmetry(mode=mode)
    angles = rule.angles(model, rule.init(model, key=getkey()))
    assert abs(float(angles["W2~B2"]) - expected) < 0.5


@pytest.mark.parametrize("constrained", [True, False])
def test_constrained_weights_keep_their_norms(constrained, x64, getkey):
    model = network("conv", bias=True, key=getkey())
    x, y = batch("conv", key=getkey())
    rule = SignSymmetry(constrain_weights=constrained)
    state = rule.init(model, key=getkey())
    norms = [jnp.linalg.norm(layer.weight.ravel()) for layer in plastic_layers(model)]
    biases = []
    for _ in range(3):
        updates, state, _ = update(rule, model, state, x, y, key=getkey())
        stepped = optax.apply_updates(model, jax.tree.map(lambda leaf: -0.5 * leaf, updates))
        model, state = rule.after_step(model, stepped, state)
        pairs = zip(plastic_layers(model), plastic_layers(stepped), strict=True)
        biases = [(a.bias, b.bias) for a, b in pairs]
    after = [jnp.linalg.norm(layer.weight.ravel()) for layer in plastic_layers(model)]
    assert jnp.allclose(jnp.array(after), jnp.array(norms), rtol=1e-13) == constrained
    assert all((a == b).all() for a, b in biases)


def test_constraint_leaves_zero_weights_alone(getkey):
    model = mlp((3,), 2, hidden=(4,), initialiser="zeros", key=getkey())
    rule = SignSymmetry(constrain_weights=True)
    after, _ = rule.after_step(model, model, rule.init(model, key=getkey()))
    assert all(not leaf.any() for leaf in jax.tree.leaves(after))


def test_clip_bounds_the_update_and_nothing_else(x64, getkey):
    model = network("dense", key=getkey())
    x, y = batch("dense", key=getkey())
    key, limit = getkey(), 0.02
    free, _, _ = update(SignSymmetry(), model, SignSymmetryState(None, None), x, y, key=key)
    rule = SignSymmetry(gradient_clip=limit)
    clipped, _, _ = update(rule, model, rule.init(model, key=key), x, y, key=key)
    oracle = jax.tree.map(lambda leaf: jnp.maximum(jnp.minimum(leaf, limit), -limit), free)
    assert_close(clipped, oracle, 0)
    inside = [float((jnp.abs(leaf) < limit).mean()) for leaf in jax.tree.leaves(free)]
    assert min(inside) > 0 and max(inside) < 1
