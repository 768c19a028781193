"""A convolution and its transposes as one banded matrix product each, for CPUs.

A row of the left matrix holds the input columns that `block` neighbouring outputs of one image row
see; the right matrix holds the kernel as a band, one shifted copy per output of the block. The
kernel's rows stand side by side in the right matrix, and are summed after the product, or, where
that is cheaper (few input channels), in the left matrix as copies of shifted image rows. So a pixel
is copied about k2 times instead of k1 k2 times, products stay wide where channels are few, the
forward pass and the weight gradient share their left matrix and the two gradients what they make
of the signal (XLA merges equal expressions).

A stride is first turned into channels (space to depth), which leaves a convolution of stride 1.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

PRODUCTS_PER_COPY = 48
"""Multiply-adds in the time of moving one float: sets the balance between the layouts."""


@dataclasses.dataclass(frozen=True)
class Banded:
    """The shapes of one convolution, and its three linear maps.

    After folding: k1, k2 = `taps`, kernel rows and columns; q input columns seen by a block; n
    blocks in an image row; m slabs of `block` columns that cover q.
    """

    image: tuple[int, int]
    kernel: tuple[int, ...]
    output: tuple[int, int]
    stride: int
    padding: int

    def convolve(self, x: Array, kernel: Array) -> Array:
        y = self._left(x) @ self._expand(kernel)
        return self._join(y if self.tall else _sum_shifted(y, self.upwards, self.output[0]))

    def correlate(self, x: Array, signal: Array) -> Array:
        left, right = self._left(x), self._right(signal)
        product = left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])
        return self._contract(product)

    def send_back(self, signal: Array, kernel: Array) -> Array:
        wide = self._right(signal) @ self._expand(kernel).T
        if self.tall:
            wide = _sum_shifted(wide, [-shift for shift in self.upwards], self.rows)
        return self._unfold(self._sum_columns(wide))

    @functools.cached_property
    def phases(self) -> tuple[int, int]:
        """Rows and columns of the stride's grid that the kernel touches."""
        return min(self.stride, self.kernel[0]), min(self.stride, self.kernel[1])

    @functools.cached_property
    def taps(self) -> tuple[int, int]:
        return -(-self.kernel[0] // self.stride), -(-self.kernel[1] // self.stride)

    @functools.cached_property
    def pre(self) -> int:
        """Input channels after folding."""
        return self.phases[0] * self.phases[1] * self.kernel[2]

    @functools.cached_property
    def rows(self) -> int:
        """Image rows after folding; unfolded images keep theirs, padding stays implicit."""
        return self.image[0] if self.stride == 1 else self.output[0] + self.taps[0] - 1

    @functools.cached_property
    def offset(self) -> int:
        """Zero padding that is left after folding."""
        return self.padding if self.stride == 1 else 0

    @functools.cached_property
    def upwards(self) -> list[int]:
        """How far a row of the image moves down for each kernel row to meet its output."""
        return [self.offset - tap for tap in range(self.taps[0])]

    @functools.cached_property
    def plan(self) -> tuple[int, bool]:
        """`block` and `tall`, by the floats moved and the products made for one output row."""
        (k1, k2), (height, width), post = self.taps, self.output, self.kernel[3]

        def cost(block: int, tall: bool) -> float:
            left, right = (block + k2 - 1) * self.pre, block * post
            products = left * k1 * right / PRODUCTS_PER_COPY
            if tall:
                return height / block * (k1 * left + right + products)
            return self.rows / block * (left + k1 * right + products)

        blocks = [block for block in (1, 2, 4) if width % block == 0]
        return min(((b, t) for b in blocks for t in (False, True)), key=lambda plan: cost(*plan))

    @property
    def block(self) -> int:
        """Output columns per matrix row; work grows as (block + k2 - 1) / k2: few channels only."""
        return self.plan[0]

    @property
    def tall(self) -> bool:
        """Whether kernel rows are copied into the left matrix, not summed after the product."""
        return self.plan[1]

    @functools.cached_property
    def layout(self) -> tuple[int, int, int]:
        """n, q, m."""
        q = self.block + self.taps[1] - 1
        return self.output[1] // self.block, q, -(-q // self.block)

    def _left(self, x: Array) -> Array:
        left = self._columns(self._fold(x))
        return _copy_shifted(left, self.upwards, self.output[0]) if self.tall else left

    def _right(self, signal: Array) -> Array:
        right = signal.reshape(-1, self.output[0], self.layout[0], self.block * self.kernel[3])
        if self.tall:
            return right
        return _copy_shifted(right, [-shift for shift in self.upwards], self.rows)

    def _join(self, y: Array) -> Array:
        return y.reshape(-1, *self.output, self.kernel[3])

    # Pairs of a map and its transpose: fold, unfold; columns, sum_columns; expand, contract.

    def _fold(self, x: Array) -> Array:
        if self.stride == 1:
            return x
        s, (r1, r2), (k1, k2) = self.stride, self.phases, self.taps
        h, w = self.output[0] + k1 - 1, self.output[1] + k2 - 1
        x = _pad(x, 1, self.padding, h * s - x.shape[1] - self.padding)
        x = _pad(x, 2, self.padding, w * s - x.shape[2] - self.padding)
        x = x.reshape(-1, h, s, w, s, self.kernel[2])[:, :, :r1, :, :r2]
        return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, h, w, self.pre)

    def _unfold(self, x: Array) -> Array:
        if self.stride == 1:
            return x
        s, (r1, r2), (_, h, w, _) = self.stride, self.phases, x.shape
        x = x.reshape(-1, h, w, r1, r2, self.kernel[2]).transpose(0, 1, 3, 2, 4, 5)
        x = _pad(_pad(x, 2, 0, s - r1), 4, 0, s - r2).reshape(-1, h * s, w * s, self.kernel[2])
        x = _pad(x, 1, -self.padding, self.image[0] + self.padding - h * s)
        return _pad(x, 2, -self.padding, self.image[1] + self.padding - w * s)

    def _columns(self, x: Array) -> Array:
        n, q, m = self.layout
        x = _pad(x, 2, self.offset, (n + m - 1) * self.block - x.shape[2] - self.offset)
        slabs = x.reshape(-1, self.rows, n + m - 1, self.block * self.pre)
        wide = jnp.concatenate([slabs[:, :, t : t + n] for t in range(m)], -1)
        return wide[..., : q * self.pre]

    def _sum_columns(self, wide: Array) -> Array:
        (n, _, m), size = self.layout, self.block * self.pre
        wide = _pad(wide, 3, 0, m * size - wide.shape[3])
        slabs = [_pad(wide[..., t * size : (t + 1) * size], 2, t, m - 1 - t) for t in range(m)]
        x = sum(slabs[1:], slabs[0]).reshape(-1, self.rows, (n + m - 1) * self.block, self.pre)
        width = self.image[1] if self.stride == 1 else self.output[1] + self.taps[1] - 1
        return _pad(x, 2, -self.offset, width + self.offset - x.shape[2])

    def _expand(self, kernel: Array) -> Array:
        (k1, k2), (r1, r2), (rows, columns, pre, post) = self.taps, self.phases, self.kernel
        kernel = _pad(_pad(kernel, 0, 0, k1 * r1 - rows), 1, 0, k2 * r2 - columns)
        kernel = kernel.reshape(k1, r1, k2, r2, pre, post).transpose(0, 2, 1, 3, 4, 5)
        kernel = kernel.reshape(k1, k2, self.pre, post)
        shifts = [_pad(kernel, 1, t, self.block - 1 - t) for t in range(self.block)]
        band = jnp.stack(shifts, 3).reshape(k1, -1, self.block * post)
        if self.tall:
            return band.reshape(-1, band.shape[2])
        return band.transpose(1, 0, 2).reshape(band.shape[1], -1)

    def _contract(self, product: Array) -> Array:
        (k1, k2), (r1, r2), (rows, columns, pre, post) = self.taps, self.phases, self.kernel
        if not self.tall:
            product = product.reshape(-1, k1, self.block * post).transpose(1, 0, 2)
        product = product.reshape(k1, self.layout[1], self.pre, self.block, post)
        shifts = [product[:, t : t + k2, :, t] for t in range(self.block)]
        kernel = sum(shifts[1:], shifts[0]).reshape(k1, k2, r1, r2, pre, post)
        kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(k1 * r1, k2 * r2, pre, post)
        return kernel[:rows, :columns]


def _copy_shifted(x: Array, shifts: Sequence[int], height: int) -> Array:
    """Copies of [batch, rows, n, size], each moved down by a shift and cut to `height` rows, side
    by side."""
    copies = [_pad(x, 1, shift, height - x.shape[1] - shift) for shift in shifts]
    return copies[0] if len(copies) == 1 else jnp.concatenate(copies, -1)


def _sum_shifted(x: Array, shifts: Sequence[int], height: int) -> Array:
    """The parts of [batch, rows, n, parts * size], each moved by its shift, summed.

    In a loop over parts of the batch: XLA would otherwise fuse these sums into whatever reads the
    result, and compute them anew for every element read (pooling, statistics).
    """

    def sum_parts(x: Array) -> Array:
        size = x.shape[3] // len(shifts)
        moved = [
            _pad(x[..., t * size : (t + 1) * size], 1, shift, height - x.shape[1] - shift)
            for t, shift in enumerate(shifts)
        ]
        return sum(moved[1:], moved[0])

    loops = next(loops for loops in (8, 4, 2, 1) if x.shape[0] % loops == 0)
    if loops == 1 or len(shifts) == 1:
        return sum_parts(x)
    y = lax.map(sum_parts, x.reshape(loops, -1, *x.shape[1:]))
    return y.reshape(-1, *y.shape[2:])


def _pad(x: Array, axis: int, low: int, high: int) -> Array:
    """Zeros before and behind one axis; negative numbers cut."""
    if low == high == 0:
        return x
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (low, high, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), pads)
