import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from helpers import assert_close, batch, gradient, network, update
from rewired import cut_gradient

from metaplastic.losses import LOSSES
from metaplastic.models import pepita_conv, plastic_layers, with_layers
from metaplastic.rules.direct_feedback_alignment import DirectFeedbackAlignment
from metaplastic.rules.drtp import DRTP


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_hidden_layers_follow_the_label_and_the_output_the_gradient(kind, x64, getkey, monkeypatch):
    model = network(kind, norm="batch", bias=True, dropout=0.3, key=getkey())
    x, y = batch(kind, key=getkey())
    rule, key = DRTP(loss="binary_cross_entropy"), getkey()
    state, loss = rule.init(model, key=getkey()), LOSSES["binary_cross_entropy"]
    updates, _, _ = update(rule, model, state, x, y, key=key)
    signals = lambda error: [jnp.tensordot(y, b, 1) for b in state]  # noqa: E731
    oracle = cut_gradient(monkeypatch, model, loss, x, y, signals=signals, key=key)
    assert_close(updates, oracle, 1e-12)
    output = plastic_layers(gradient(model, loss, x, y, key=key))[-1]
    assert_close(plastic_layers(updates)[-1], output, 1e-12)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_hidden_layers_need_neither_error_nor_weights_above(kind, x64, getkey):
    model = network(kind, key=getkey())
    x, y = batch(kind, key=getkey())
    rule, key = DRTP(), getkey()
    state = rule.init(model, key=getkey())
    first, *_ = plastic_layers(update(rule, model, state, x, y, key=key)[0])
    for index in (1, 2):
        layers = plastic_layers(model)
        layers[index] = eqx.tree_at(lambda layer: layer.weight, layers[index], replace_fn=jnp.sin)
        changed = update(rule, with_layers(model, layers), state, x, y, key=key)[0]
        assert_close(plastic_layers(changed)[0], first, 0)


def test_is_direct_feedback_of_a_one_hot_error(x64, getkey):
    model = network("conv", key=getkey())
    x, label = batch("conv", key=getkey())
    state, key = DRTP().init(model, key=getkey()), getkey()
    updates, _, aux = update(DRTP(), model, state, x, label, key=key)
    fabricated = aux.output - label  # the target whose squared error is the label
    rule = DirectFeedbackAlignment(loss="squared_error")
    oracle, _, _ = update(rule, model, state, x, fabricated, key=key)
    assert_close(plastic_layers(updates)[:-1], plastic_layers(oracle)[:-1], 1e-12)


def test_maps_reach_every_unit_before_pooling(getkey):
    model = pepita_conv((11, 10, 2), 4, filters=(3, 2), kernel=3, key=getkey())
    maps = DRTP(feedback_scale=2.0).init(model, key=getkey())
    assert [b.shape for b in maps] == [(4, 9, 8, 3), (4, 2, 2, 2)]
    bound = 2 * (6 / (9 * 8 * 3)) ** 0.5
    assert 0.95 * bound < jnp.abs(maps[0]).max() <= bound


def test_batch_size_does_not_change_the_scale(x64, getkey):
    model = network("dense", key=getkey())
    x, y = batch("dense", key=getkey())
    state, key = DRTP().init(model, key=getkey()), getkey()
    twice = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), (x, y))
    once = update(DRTP(), model, state, x, y, key=key)[0]
    assert_close(update(DRTP(), model, state, *twice, key=key)[0], once, 1e-13)
