"""Convolution, its weight gradient and its input gradient (interim: default lowering)."""

import jax

DIMS = ("NHWC", "HWIO", "NHWC")


def convolve(x, kernel, *, stride=1, padding=0):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), [(padding, padding)] * 2, dimension_numbers=DIMS
    )


def correlate(x, signal, *, kernel_shape, stride=1, padding=0):
    import jax.numpy as jnp

    zero = jnp.zeros(kernel_shape, x.dtype)
    return jax.vjp(lambda k: convolve(x, k, stride=stride, padding=padding), zero)[1](signal)[0]


def send_back(signal, kernel, *, input_shape, stride=1, padding=0):
    import jax.numpy as jnp

    zero = jnp.zeros((signal.shape[0], *input_shape, kernel.shape[2]), signal.dtype)
    return jax.vjp(lambda x: convolve(x, kernel, stride=stride, padding=padding), zero)[1](signal)[0]


def max_pool(x, *, window, stride):
    import jax.numpy as jnp

    return jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, window, window, 1), (1, stride, stride, 1), "VALID"
    )
