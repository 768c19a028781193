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
from metaplastic.models import mlp, pepita_conv, plastic_layers, weights
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment

LOSS = LOSSES["cross_entropy"]


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_with_forward_weights_is_the_gradient(kind, x64, getkey):
    model = network(kind, bias=True, norm="running", dropout=0.3, key=getkey())
    x, y = batch(kind, key=getkey())
    key = getkey()
    updates, _, _ = update(FeedbackAlignment(), model, forward_weights(model), x, y, key=key)
    assert_close(updates, gradient(model, LOSS, x, y, key=key), 1e-12)


def test_with_forward_weights_is_backpropagation_at_every_step(x64, getkey):
    x, y = batch("dense", key=getkey())
    model, key = network("dense", bias=True, dropout=0.2, key=getkey()), getkey()
    optimiser = optax.sgd(0.5, momentum=0.9)

    def train(rule, state):
        def step(carry, own_key):
            net, moments = carry
            updates, _, _ = rule.updates(net, state(net), x, y, key=own_key)
            changes, moments = optimiser.update(updates, moments)
            return (optax.apply_updates(net, changes), moments), None

        start = (model, optimiser.init(weights(model)))
        return jax.jit(lambda: jax.lax.scan(step, start, jax.random.split(key, 10))[0][0])()

    trained = train(FeedbackAlignment(), forward_weights)
    assert_close(trained, train(Backprop(), lambda net: ()), 1e-12)
    moved = jnp.abs(plastic_layers(trained)[0].weight - plastic_layers(model)[0].weight).max()
    assert moved > 0.01


@pytest.mark.parametrize("kind", ["lenet", pytest.param("resnet20", marks=pytest.mark.slow)])
def test_errors_come_back_through_the_feedback(kind, x64, getkey, monkeypatch):
    model, x, y = deep_network(kind, key=getkey())
    rule, key = FeedbackAlignment(feedback_init="he_normal"), getkey()
    state = rule.init(model, key=getkey())
    updates, after, _ = update(rule, model, state, x, y, key=key)
    oracle = rewired_gradient(monkeypatch, model, LOSS, x, y, feedback=state, key=key)
    assert_close(updates, oracle, 1e-11)
    assert_close(after, state, 0)


def test_is_the_published_equation(x64, getkey):
    model = network("dense", key=getkey())
    x, y = batch("dense", key=getkey())
    rule = FeedbackAlignment(loss="squared_error")
    state = rule.init(model, key=getkey())
    updates, _, aux = update(rule, model, state, x, y, key=getkey())
    w1, w2, w3 = (layer.weight for layer in plastic_layers(model))
    h1 = jnp.tanh(x @ w1)
    h2 = jnp.tanh(h1 @ w2)
    delta3 = h2 @ w3 - y
    delta2 = delta3 @ state[2].T * (1 - h2**2)
    delta1 = delta2 @ state[1].T * (1 - h1**2)
    for layer, pre, delta in zip(
        plastic_layers(updates), (x, h1, h2), (delta1, delta2, delta3), strict=True
    ):
        assert_close(layer.weight, pre.T @ delta / x.shape[0], 1e-13)
    assert jnp.allclose(aux.loss, 0.5 * (delta3**2).sum(1).mean(), rtol=1e-13)


def test_feedback_is_drawn_as_asked(getkey):
    model = pepita_conv((11, 10, 2), 4, filters=(30, 20), kernel=3, key=getkey())
    first, second, third = FeedbackAlignment("xavier_uniform", 0.5).init(model, key=getkey())
    assert first is None
    assert second.shape == (3, 3, 30, 20)
    assert jnp.allclose(second.std(), 0.5 * (2 / (9 * 50)) ** 0.5, rtol=0.05)
    assert third.dtype == plastic_layers(model)[2].weight.dtype


def test_angles(getkey):
    model = mlp((5,), 4, hidden=(40, 40), key=getkey())
    rule, same = FeedbackAlignment(), forward_weights(model)
    assert set(rule.angles(model, same)) == {"W2~B2", "W3~B3"}
    assert all(angle < 0.1 for angle in rule.angles(model, same).values())
    opposite = jax.tree.map(jnp.negative, same)
    assert all(angle > 179.9 for angle in rule.angles(model, opposite).values())
    drawn = rule.angles(model, rule.init(model, key=getkey()))
    assert 80 < drawn["W2~B2"] < 100
