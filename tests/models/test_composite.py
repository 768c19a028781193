import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from helpers import assert_close, deep_network, gradient, to_float64

from metaplastic.losses import LOSSES
from metaplastic.models import Conv, Dense, Flatten, Residual, Sequential, plastic_layers
from metaplastic.rules.backprop import Backprop


def block(getkey, dropout=0.0):
    """A network with a plastic layer on the shortcut too."""
    options = {"padding": 1, "activation": "tanh", "dropout": dropout}
    body = Sequential(
        Conv(2, 3, 3, **options, key=getkey()), Conv(3, 3, 3, **options, key=getkey())
    )
    shortcut = Conv(2, 3, 1, activation="identity", key=getkey())
    head = Dense(48, 3, activation="identity", key=getkey())
    return to_float64(Sequential(Residual(body, shortcut, "tanh"), Flatten(), head))


def test_residual_block_adds_its_shortcut(x64, getkey):
    model = block(getkey)
    x = jr.normal(getkey(), (2, 4, 4, 2))
    residual = model.nodes[0]
    body, shortcut = residual.body, residual.shortcut
    h = jnp.tanh(body.nodes[1].linear(jnp.tanh(body.nodes[0].linear(x))))
    expected = jnp.tanh(h + jnp.einsum("bhwi,io->bhwo", x, shortcut.weight[0, 0]))
    y, _ = residual.forward(x, training=False, masks=None, first_drive=None, key=None)
    assert_close(y, expected, 1e-13)
    assert [layer.weight.shape[-1] for layer in plastic_layers(model)] == [3, 3, 3, 3]
    assert plastic_layers(model)[2].weight.shape[0] == 1  # the shortcut after the body


def test_sweep_through_a_plastic_shortcut_is_the_gradient(x64, getkey):
    model = block(getkey, dropout=0.3)
    x, y, key = jr.normal(getkey(), (2, 4, 4, 2)), jnp.eye(2, 3), getkey()
    trace = model.trace(x, key=key)
    again = model.trace(x, masks=trace)
    assert_close(again.output, trace.output, 0)
    assert trace.layers[0].mask is not None and trace.layers[2].mask is None
    updates, _, _ = jax.jit(Backprop().updates)(model, (), x, y, key=key)
    assert_close(updates, gradient(model, LOSSES["cross_entropy"], x, y, key=key), 1e-12)


@pytest.mark.parametrize("kind", ["lenet", pytest.param("resnet20", marks=pytest.mark.slow)])
def test_sweep_of_a_deep_network_is_the_gradient(kind, x64, getkey):
    model, x, y = deep_network(kind, key=getkey())
    key = getkey()
    updates, _, _ = jax.jit(Backprop().updates)(model, (), x, y, key=key)
    assert_close(updates, gradient(model, LOSSES["cross_entropy"], x, y, key=key), 1e-11)


def test_a_residual_block_has_no_first_layer(getkey):
    model = Sequential(Residual(Dense(3, 3, key=getkey()), Dense(3, 3, key=getkey())))
    with pytest.raises(ValueError, match="no single first layer"):
        model.trace(jnp.ones((1, 3)), first_drive=jnp.ones((1, 3)))
