"""Convolution maps against `lax.conv_general_dilated`, pooling against `reduce_window`."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from metaplastic._errors import UsageError
from metaplastic.models._convolution import convolve, correlate, send_back

CASES = [
    (batch, image, kernel, channels, stride, padding)
    for (batch, image), kernel, channels, stride, padding in itertools.product(
        [(1, (5, 6)), (3, (9, 12)), (2, (11, 5))],
        [(1, 1), (3, 3), (5, 5), (3, 1), (2, 5)],
        [(1, 3), (3, 16), (16, 1)],
        [1, 2, 3],
        [0, 1, 2],
    )
]


def native(x, kernel, stride, padding):
    dimensions = ("NHWC", "HWIO", "NHWC")
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, kernel, (stride,) * 2, pads, dimension_numbers=dimensions)


def draw(rng, *shape):
    return jnp.asarray(rng.standard_normal(shape))


def close(ours, oracle, tolerance=1e-12):
    assert ours.shape == oracle.shape and ours.dtype == oracle.dtype
    scale = max(1.0, float(jnp.abs(oracle).max()))
    np.testing.assert_allclose(ours, oracle, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("formulation", ["banded", "native"])
@pytest.mark.parametrize("case", CASES[::7] + CASES[3::11], ids=str)
def test_maps_equal_the_native_convolution_and_its_gradients(x64, case, formulation):
    batch, image, (k1, k2), (pre, post), stride, padding = case
    rng = np.random.default_rng(0)
    x, kernel = draw(rng, batch, *image, pre), draw(rng, k1, k2, pre, post)
    y, pull = jax.vjp(lambda x, w: native(x, w, stride, padding), x, kernel)
    signal = draw(rng, *y.shape)
    x_gradient, kernel_gradient = pull(signal)
    how = {"stride": stride, "padding": padding, "formulation": formulation}
    close(convolve(x, kernel, **how), y)
    close(correlate(x, signal, kernel_shape=kernel.shape, **how), kernel_gradient)
    close(send_back(signal, kernel, input_shape=image, **how), x_gradient)
