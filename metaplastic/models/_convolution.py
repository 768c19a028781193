"""The three linear maps of a convolution: forward, weight gradient, input gradient.

    y[b, u, v, o] = Σ_{i, j, c} x[b, s u + i - p, s v + j - p, c] w[i, j, c, o]

Activities are [batch, height, width, channels], kernels [height, width, in, out]; s is the stride,
p the zero padding on all four sides.

On GPU and TPU these are `lax.conv_general_dilated` and its transposes ("native"). On a CPU that
falls back to slow loops inside `lax.scan`, so there each map is one matrix product ("banded", see
`_banded.py`). All three are differentiable, and `vmap` over images and kernels together.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._errors import UsageError
from ._banded import Banded
from ._pooling import average_pool as average_pool, max_pool as max_pool

Formulation = Literal["native", "banded"]


def convolve(
    x: Float[Array, "batch height width pre"],
    kernel: Float[Array, "k1 k2 pre post"],
    *,
    stride: int = 1,
    padding: int = 0,
    formulation: Formulation | None = None,
) -> Float[Array, "batch height2 width2 post"]:
    """Forward pass: `y` of the module's equation, `height2 = (height + 2 p - k1) // s + 1`.

    `formulation` None means "banded" where the default backend is a CPU, else "native"; it is
    decided while tracing. Raises `UsageError` where the kernel does not fit into the image.
    """
    if _is_native(formulation):
        return _native(x, kernel, stride, padding)
    band = _band(x.shape, kernel.shape, stride, padding)
    return band.convolve(_up(x), _up(kernel)).astype(x.dtype)


def correlate(
    x: Float[Array, "batch height width pre"],
    signal: Float[Array, "batch height2 width2 post"],
    *,
    kernel_shape: tuple[int, ...],
    stride: int = 1,
    padding: int = 0,
    formulation: Formulation | None = None,
) -> Float[Array, "k1 k2 pre post"]:
    """Weight gradient: `pre` times `signal`, summed over batch and positions."""
    if _is_native(formulation):
        like = jax.ShapeDtypeStruct(tuple(kernel_shape), x.dtype)
        return jax.linear_transpose(lambda w: _native(x, w, stride, padding), like)(signal)[0]
    band = _band(x.shape, kernel_shape, stride, padding)
    return band.correlate(_up(x), _up(signal)).astype(x.dtype)


def send_back(
    signal: Float[Array, "batch height2 width2 post"],
    kernel: Float[Array, "k1 k2 pre post"],
    *,
    input_shape: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    formulation: Formulation | None = None,
) -> Float[Array, "batch height width pre"]:
    """Input gradient: the transposed convolution, from outputs to an image of `input_shape`."""
    shape = (signal.shape[0], *input_shape, kernel.shape[2])
    if _is_native(formulation):
        like = jax.ShapeDtypeStruct(shape, signal.dtype)
        return jax.linear_transpose(lambda x: _native(x, kernel, stride, padding), like)(signal)[0]
    band = _band(shape, kernel.shape, stride, padding)
    return band.send_back(_up(signal), _up(kernel)).astype(signal.dtype)


def output_shape(
    input_shape: tuple[int, ...], kernel_shape: tuple[int, ...], stride: int, padding: int
) -> tuple[int, int]:
    """Height and width of the output for those of the input and the kernel."""
    height, width = (
        (size + 2 * padding - k) // stride + 1
        for size, k in zip(input_shape[:2], kernel_shape[:2], strict=True)
    )
    if height < 1 or width < 1:
        raise UsageError(
            f"a {kernel_shape[0]}x{kernel_shape[1]} kernel does not fit into an image of "
            f"{input_shape[0]}x{input_shape[1]} with padding {padding}: use a smaller kernel or "
            "more padding"
        )
    return height, width


def _is_native(formulation: Formulation | None) -> bool:
    if formulation is None:
        return jax.default_backend() != "cpu"
    return formulation == "native"


def _native(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    output_shape(x.shape[1:3], kernel.shape, stride, padding)
    dimensions = ("NHWC", "HWIO", "NHWC")
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, kernel, (stride,) * 2, pads, dimension_numbers=dimensions)


def _band(x: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> Banded:
    output = output_shape(x[1:3], kernel, stride, padding)
    if output == (1, 1):  # a dense layer: one step of the whole kernel
        stride = max(*kernel[:2], stride)
    return Banded((x[1], x[2]), tuple(kernel), output, stride, padding)


def _up(x: Array) -> Array:
    """Half precision computes in float32: CPUs have no such products, and sums want the bits."""
    return x if x.dtype.itemsize >= 4 else x.astype(jnp.float32)
