"""The three linear maps of a convolution: forward, weight gradient, input gradient.

    y[b, u, v, o] = Σ_{i, j, c} x[b, s u + i - p, s v + j - p, c] w[i, j, c, o]

Activities are [batch, height, width, channels], kernels [height, width, in, out]; s is the stride,
p the zero padding on all four sides.

On GPU and TPU these are `lax.conv_general_dilated` and its transposes ("native"). On a CPU that
falls back to slow loops inside `lax.scan`, so there each map is one matrix product ("banded").
A row of the left matrix holds the input columns that `block` neighbouring outputs of one image row
see; the right matrix holds the kernel as a band, one shifted copy per output of the block, with all
kernel rows side by side. Kernel rows are summed after the product (forward) or copied before it
(gradients). So a pixel is copied about k2 times instead of k1 k2 times, the forward pass and the
weight gradient share the left matrix and both gradients the right one (XLA merges equal
expressions), and the products stay wide where channels are few. A stride is first turned into
channels, space to depth, which leaves a convolution of stride 1.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from metaplastic._errors import UsageError

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
    band = _Band.of(x.shape, kernel.shape, stride, padding)
    compute = _compute_dtype(x)
    y = band.columns(x.astype(compute)) @ band.expand(kernel.astype(compute))
    return band.sum_rows(y).astype(x.dtype)


def correlate(
    x: Float[Array, "batch height width pre"],
    signal: Float[Array, "batch height2 width2 post"],
    *,
    kernel_shape: tuple[int, ...],
    stride: int = 1,
    padding: int = 0,
    formulation: Formulation | None = None,
) -> Float[Array, "k1 k2 pre post"]:
    """Weight gradient: presynaptic activity times postsynaptic signal, summed over batch and positions."""
    if _is_native(formulation):
        like = jax.ShapeDtypeStruct(tuple(kernel_shape), x.dtype)
        return jax.linear_transpose(lambda w: _native(x, w, stride, padding), like)(signal)[0]
    band = _Band.of(x.shape, kernel_shape, stride, padding)
    compute = _compute_dtype(x)
    left, right = band.columns(x.astype(compute)), band.copy_rows(signal.astype(compute))
    product = left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])
    return band.contract(product).astype(x.dtype)


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
    band = _Band.of(shape, kernel.shape, stride, padding)
    compute = _compute_dtype(signal)
    back = band.copy_rows(signal.astype(compute)) @ band.expand(kernel.astype(compute)).T
    return band.sum_columns(back).astype(signal.dtype)


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


def _compute_dtype(x: Array) -> jnp.dtype:
    """CPUs have no half-precision products, and sums over kernel rows want the bits."""
    return jnp.promote_types(x.dtype, jnp.float32)


def _pad(x: Array, axis: int, low: int, high: int) -> Array:
    """Zeros before and behind one axis; negative numbers cut."""
    if low == high == 0:
        return x
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (low, high, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), pads)


def _block(width: int, k2: int, pre: int) -> int:
    """Output columns per matrix row: the fewest that make the product wide enough to be fast.

    More columns make the band emptier: work grows as (block + k2 - 1) / k2.
    """
    best = 1
    for block in (2, 4):
        if width % block == 0 and block * pre <= 16:
            best = block
    return best


@dataclasses.dataclass(frozen=True)
class _Band:
    """The shapes of one convolution as a banded matrix product, and its linear maps.

    `columns` and `sum_columns`, `copy_rows` and `sum_rows`, `expand` and `contract` are pairs of
    a map and its transpose. Inside, sizes are those after space to depth: stride 1, no padding.
    """

    image: tuple[int, int]
    kernel: tuple[int, ...]
    output: tuple[int, int]
    stride: int
    padding: int
    block: int

    @classmethod
    def of(
        cls, x_shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int
    ) -> "_Band":
        image = (x_shape[1], x_shape[2])
        output = output_shape(image, kernel, stride, padding)
        pre = kernel[2] * (stride * stride if min(kernel[:2]) > 1 else 1)
        block = _block(output[1], -(-kernel[1] // stride), pre)
        return cls(image, tuple(kernel), output, stride, padding, block)
