import jax
import jax.random as jr
import pytest
from helpers import assert_close, spread, to_float64
from rewired import linear

from metaplastic.models import Conv


@pytest.mark.parametrize("stride, padding", spread([(1, 0), (1, 1), (2, 0), (2, 1)], 2))
def test_operations_are_those_of_a_convolution(stride, padding, x64, getkey):
    options = {"stride": stride, "padding": padding}
    layer = to_float64(Conv(2, 3, 3, bias=True, initialiser="fan_in", **options, key=getkey()))
    pre, other = jr.normal(getkey(), (2, 8, 7, 2)), jr.normal(getkey(), (3, 3, 2, 5))
    drive, back = jax.vjp(lambda w: linear(layer, pre, w), layer.weight)
    assert_close(layer.drive(pre), drive + layer.bias, 1e-13)
    signal = jr.normal(getkey(), drive.shape)
    assert_close(layer.hebb(pre, signal), back(signal)[0], 1e-13)
    # Any weight may carry a signal back, of another number of channels too.
    out, back = jax.vjp(lambda x: linear(layer, x, other), pre)
    signal = jr.normal(getkey(), out.shape)
    assert_close(layer.send_back(signal, other, pre.shape[1:]), back(signal)[0], 1e-13)
    assert layer.bias.shape == (3,)
