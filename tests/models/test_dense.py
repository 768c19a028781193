import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from helpers import assert_close, to_float64

from metaplastic.models import ACTIVATIONS, Dense


def test_operations_are_matrix_products(x64, getkey):
    layer = to_float64(Dense(5, 3, bias=True, initialiser="fan_in", key=getkey()))
    pre, signal = jr.normal(getkey(), (4, 5)), jr.normal(getkey(), (4, 3))
    other = jr.normal(getkey(), (5, 3))
    assert_close(layer.drive(pre), jnp.einsum("bi,io->bo", pre, layer.weight) + layer.bias, 1e-14)
    _, back = jax.vjp(lambda x, w: jnp.einsum("bi,io->bo", x, w), pre, other)
    at_pre, at_weight = back(signal)
    assert_close(layer.hebb(pre, signal), at_weight, 1e-14)
    assert_close(layer.send_back(signal, other, (5,)), at_pre, 1e-14)


def test_biases_start_at_zero_unless_the_initialiser_draws_them(getkey):
    assert Dense(5, 3, key=getkey()).bias is None
    assert not Dense(5, 3, bias=True, key=getkey()).bias.any()
    drawn = Dense(4, 1000, bias=True, initialiser="fan_in", key=getkey()).bias
    assert drawn.shape == (1000,)
    assert 0.45 < jnp.abs(drawn).max() <= 0.5
    assert jnp.allclose(drawn.std(), 0.5 / 3**0.5, rtol=0.1)


def test_bias_is_drawn_apart_from_the_weight(getkey):
    layer = Dense(7, 7, bias=True, initialiser="fan_in", key=getkey())
    assert not any(jnp.allclose(layer.bias, row) for row in layer.weight)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_derivatives(name, x64, getkey):
    drive = jnp.concatenate([jr.normal(getkey(), (20,)), jnp.zeros(1)])
    value, slope, slope_at_post = ACTIVATIONS[name]
    exact = {
        "relu": jax.nn.relu,
        "tanh": jnp.tanh,
        "sigmoid": jax.nn.sigmoid,
        "softplus": lambda a: jnp.logaddexp(10 * a, 0) / 10,
    }.get(name, jnp.copy)
    assert_close(value(drive), exact(drive), 1e-15)
    assert_close(slope(drive), jax.vmap(jax.grad(exact))(drive), 1e-14)
    assert_close(slope_at_post(value(drive)), slope(drive), 1e-13)
