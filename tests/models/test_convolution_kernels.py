"""Convolution maps against `lax.conv_general_dilated`, pooling against `reduce_window`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import spread
from jax import lax

from metaplastic._errors import UsageError
from metaplastic.models._convolution import (
    average_pool,
    convolve,
    correlate,
    max_pool,
    send_back,
)

# batch, image, kernel, in and out channels, stride, padding
CASES = [
    (1, (5, 6), (1, 1), 3, 2, 1, 0),
    (2, (7, 6), (1, 1), 16, 3, 2, 0),
    (2, (7, 6), (1, 1), 3, 16, 3, 1),
    (3, (9, 12), (3, 3), 16, 16, 1, 1),
    (8, (8, 8), (3, 3), 16, 32, 2, 1),
    (1, (11, 5), (3, 3), 3, 1, 3, 2),
    (4, (10, 7), (3, 3), 1, 3, 2, 0),
    (2, (12, 16), (5, 5), 1, 6, 1, 0),
    (2, (12, 12), (5, 5), 3, 6, 1, 0),
    (3, (14, 14), (5, 5), 6, 16, 1, 0),
    (3, (5, 5), (5, 5), 16, 20, 1, 0),
    (2, (3, 4), (5, 5), 3, 16, 1, 2),
    (2, (11, 9), (5, 5), 3, 4, 3, 2),
    (2, (9, 10), (3, 1), 3, 4, 2, 1),
    (2, (8, 9), (2, 5), 3, 4, 3, 1),
    (2, (3, 3), (3, 3), 3, 4, 2, 0),
    (2, (4, 4), (3, 3), 3, 4, 2, 0),
]


def native(x, kernel, stride, padding):
    dimensions = ("NHWC", "HWIO", "NHWC")
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, kernel, (stride,) * 2, pads, dimension_numbers=dimensions)


def draw(rng, *shape, dtype=None):
    return jnp.asarray(rng.standard_normal(shape), dtype)


def close(ours, oracle, tolerance=1e-12):
    assert ours.shape == oracle.shape and ours.dtype == oracle.dtype
    ours, oracle = np.asarray(ours, np.float64), np.asarray(oracle, np.float64)
    np.testing.assert_allclose(ours, oracle, rtol=0, atol=tolerance * max(1, abs(oracle).max()))


def arrays(case, dtype=None):
    batch, image, (k1, k2), pre, post, stride, padding = case
    rng = np.random.default_rng(0)
    x = draw(rng, batch, *image, pre, dtype=dtype)
    kernel = draw(rng, k1, k2, pre, post, dtype=dtype)
    y = jax.eval_shape(lambda: native(x, kernel, stride, padding))
    return x, kernel, draw(rng, *y.shape, dtype=dtype)


def three_maps(case, formulation):
    def maps(x, kernel, signal):
        how = {"stride": case[5], "padding": case[6], "formulation": formulation}
        return (
            convolve(x, kernel, **how),
            correlate(x, signal, kernel_shape=kernel.shape, **how),
            send_back(signal, kernel, input_shape=x.shape[1:3], **how),
        )

    return maps


def oracles(case):
    def maps(x, kernel, signal):
        y, pull = jax.vjp(lambda x, w: native(x, w, case[5], case[6]), x, kernel)
        return y, *pull(signal)[::-1]

    return maps


@pytest.mark.parametrize("formulation", ["banded", "native"])
@pytest.mark.parametrize("case", spread([(case,) for case in CASES], 6), ids=str)
def test_maps_equal_the_native_convolution_and_its_gradients(x64, case, formulation):
    given = arrays(case)
    ours = jax.jit(three_maps(case, formulation))(*given)
    for mine, oracle in zip(ours, jax.jit(oracles(case))(*given), strict=True):
        close(mine, oracle)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 1e-2)])
def test_maps_keep_the_precision_of_their_arrays(dtype, tolerance):
    case = CASES[3]
    given = arrays(case, dtype)
    ours = three_maps(case, "banded")(*given)
    exact = oracles(case)(*(array.astype(jnp.float32) for array in given))
    for mine, oracle in zip(ours, exact, strict=True):
        assert mine.dtype == dtype
        close(mine.astype(jnp.float32), oracle, tolerance)


@pytest.mark.parametrize("formulation", ["banded", "native"])
def test_maps_run_under_vmap_over_images_and_kernels_together(x64, formulation):
    case = CASES[4]
    seeds = [arrays(case), tuple(2 * array for array in arrays(case))]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *seeds)
    ours = jax.vmap(three_maps(case, formulation))(*stacked)
    for index, given in enumerate(seeds):
        for mine, oracle in zip(ours, oracles(case)(*given), strict=True):
            close(mine[index], oracle)


def test_the_banded_convolution_can_be_differentiated_twice(x64):
    case = CASES[7]
    x, kernel, signal = arrays(case)

    def energy(conv):
        return lambda w: jnp.sum(jnp.sin(conv(x, w)) * signal)

    def second(conv):
        return jax.jvp(jax.grad(energy(conv)), (kernel,), (kernel**2,))[1]

    mine = second(lambda x, w: convolve(x, w, formulation="banded"))
    close(mine, second(lambda x, w: native(x, w, 1, 0)))


def test_a_kernel_larger_than_its_image_is_named():
    x, kernel = jnp.zeros((1, 4, 4, 1)), jnp.zeros((5, 5, 1, 1))
    with pytest.raises(UsageError, match="5x5 kernel does not fit into an image of 4x4"):
        convolve(x, kernel)
    with pytest.raises(UsageError, match="pooling window of 5 does not fit"):
        max_pool(x, window=5, stride=5)


POOLS = [
    ((6, 8), 2, 2, 6),
    ((7, 9), 2, 2, 8),
    ((9, 7), 3, 3, 3),
    ((9, 8), 3, 2, 4),
    ((7, 7), 2, 3, 1),
]


def windows(x, window, stride, start, combine):
    return lax.reduce_window(
        x, start, combine, (1, window, window, 1), (1, stride, stride, 1), "VALID"
    )


@pytest.mark.parametrize(("image", "window", "stride", "channels"), spread(POOLS, 2))
def test_pooling_equals_reduce_window(x64, image, window, stride, channels):
    x = draw(np.random.default_rng(0), 2, *image, channels)
    how = {"window": window, "stride": stride}
    mine, pull = jax.vjp(lambda x: max_pool(x, **how), x)
    oracle, pull_oracle = jax.vjp(lambda x: windows(x, window, stride, -jnp.inf, lax.max), x)
    close(mine, oracle)
    close(pull(mine)[0], pull_oracle(mine)[0])
    mine, pull = jax.vjp(lambda x: average_pool(x, **how), x)
    mean = lambda x: windows(x, window, stride, 0.0, lax.add) / window**2  # noqa: E731
    oracle, pull_oracle = jax.vjp(mean, x)
    close(mine, oracle)
    close(pull(mine)[0], pull_oracle(mine)[0])


@pytest.mark.parametrize(("image", "window", "stride", "channels"), spread(POOLS, 2))
def test_ties_send_the_signal_to_the_first_unit_of_the_window(image, window, stride, channels):
    x = np.random.default_rng(0).integers(0, 2, (2, *image, channels)).astype(np.float32)
    y, pull = jax.vjp(lambda x: max_pool(x, window=window, stride=stride), jnp.asarray(x))
    signal = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    expected = np.zeros_like(x)
    for b, u, v, c in np.ndindex(*y.shape):
        tile = x[b, u * stride : u * stride + window, v * stride : v * stride + window, c]
        i, j = divmod(int(tile.argmax()), window)
        expected[b, u * stride + i, v * stride + j, c] += signal[b, u, v, c]
    np.testing.assert_allclose(pull(jnp.asarray(signal))[0], expected, rtol=1e-6)


def test_batched_pooling_equals_pooling_of_each():
    x = draw(np.random.default_rng(0), 3, 2, 6, 6, 6, dtype=jnp.float32)
    gradient = jax.grad(lambda x: jnp.sum(max_pool(x) ** 2))
    np.testing.assert_array_equal(jax.vmap(gradient)(x), [gradient(part) for part in x])
