"""A convolution and its transposes as one banded matrix product each, for CPUs.

A row of the left matrix holds the input columns that `block` neighbouring outputs of one image row
see; the right matrix holds the kernel as a band, one shifted copy per output of the block, with all
kernel rows side by side. Kernel rows are summed after the product (forward) or copied before it
(gradients). So a pixel is copied about k2 times instead of k1 k2 times, the forward pass and the
weight gradient share the left matrix and both gradients the right one (XLA merges equal
expressions), and the products stay wide where channels are few.

A stride is first turned into channels (space to depth), which leaves a convolution of stride 1.
"""

import dataclasses
import functools

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


@dataclasses.dataclass(frozen=True)
class Banded:
    """The shapes of one convolution, and its three linear maps.

    Names after folding: k1, k2 kernel rows and columns, q input columns seen by a block, n blocks
    in an image row, m slabs of `block` columns that cover q.
    """

    image: tuple[int, int]
    kernel: tuple[int, ...]
    output: tuple[int, int]
    stride: int
    padding: int
    width: int | None = None

    def convolve(self, x: Array, kernel: Array) -> Array:
        return self._sum_rows(self._columns(self._fold(x)) @ self._expand(kernel))

    def correlate(self, x: Array, signal: Array) -> Array:
        left, right = self._columns(self._fold(x)), self._copy_rows(signal)
        product = left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])
        return self._contract(product)

    def send_back(self, signal: Array, kernel: Array) -> Array:
        return self._unfold(self._sum_columns(self._copy_rows(signal) @ self._expand(kernel).T))

    @functools.cached_property
    def phases(self) -> tuple[int, int]:
        """Rows and columns of the stride's grid that the kernel touches."""
        return min(self.stride, self.kernel[0]), min(self.stride, self.kernel[1])

    @functools.cached_property
    def taps(self) -> tuple[int, int]:
        """Kernel rows and columns after folding."""
        return -(-self.kernel[0] // self.stride), -(-self.kernel[1] // self.stride)

    @functools.cached_property
    def pre(self) -> int:
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
    def block(self) -> int:
        """Output columns per matrix row; work grows as (block + k2 - 1) / k2: few channels only."""
        if self.width is not None:
            return self.width
        fits = [b for b in (2, 4) if self.output[1] % b == 0 and b * self.pre <= 16]
        return max(fits, default=1)

    @functools.cached_property
    def layout(self) -> tuple[int, int, int]:
        """n, q, m."""
        q = self.block + self.taps[1] - 1
        return -(-self.output[1] // self.block), q, -(-q // self.block)

    # Pairs of a map and its transpose: fold, unfold; columns, sum_columns; copy_rows, sum_rows;
    # expand, contract.

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

    def _copy_rows(self, signal: Array) -> Array:
        height, (n, _, _) = self.output[0], self.layout
        signal = _pad(signal, 2, 0, n * self.block - signal.shape[2])
        signal = signal.reshape(-1, height, n, self.block * self.kernel[3])
        shifts = [i - self.offset for i in range(self.taps[0])]
        return jnp.concatenate([_pad(signal, 1, i, self.rows - height - i) for i in shifts], -1)

    def _sum_rows(self, y: Array) -> Array:
        """In a loop over parts of the batch: XLA would otherwise fuse these sums into whatever
        reads the result, and compute them anew for every element read (pooling, statistics)."""
        parts = next(n for n in (8, 4, 2, 1) if y.shape[0] % n == 0)
        if parts == 1 or self.taps[0] == 1:
            return self._sum_rows_of(y)
        y = y.reshape(parts, -1, *y.shape[1:])
        return lax.map(self._sum_rows_of, y).reshape(-1, *self.output, self.kernel[3])

    def _sum_rows_of(self, y: Array) -> Array:
        height, (n, _, _), size = self.output[0], self.layout, self.block * self.kernel[3]
        rows = [
            _pad(y[..., t * size : (t + 1) * size], 1, low, height - self.rows - low)
            for t, low in enumerate(self.offset - t for t in range(self.taps[0]))
        ]
        y = sum(rows[1:], rows[0]).reshape(-1, height, n * self.block, self.kernel[3])
        return y[:, :, : self.output[1]]

    def _expand(self, kernel: Array) -> Array:
        (k1, k2), (r1, r2), (_, _, pre, post) = self.taps, self.phases, self.kernel
        kernel = _pad(
            _pad(kernel, 0, 0, k1 * r1 - kernel.shape[0]), 1, 0, k2 * r2 - kernel.shape[1]
        )
        kernel = kernel.reshape(k1, r1, k2, r2, pre, post).transpose(2, 1, 3, 4, 0, 5)
        kernel = kernel.reshape(k2, self.pre, k1, post)
        shifts = [_pad(kernel, 0, t, self.block - 1 - t) for t in range(self.block)]
        return jnp.stack(shifts, 3).reshape(self.layout[1] * self.pre, -1)

    def _contract(self, product: Array) -> Array:
        (k1, k2), (r1, r2), (rows, columns, pre, post) = self.taps, self.phases, self.kernel
        product = product.reshape(self.layout[1], self.pre, k1, self.block, post)
        shifts = [product[t : t + k2, :, :, t] for t in range(self.block)]
        kernel = sum(shifts[1:], shifts[0]).reshape(k2, r1, r2, pre, k1, post)
        kernel = kernel.transpose(4, 1, 0, 2, 3, 5).reshape(k1 * r1, k2 * r2, pre, post)
        return kernel[:rows, :columns]


def _pad(x: Array, axis: int, low: int, high: int) -> Array:
    """Zeros before and behind one axis; negative numbers cut."""
    if low == high == 0:
        return x
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (low, high, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), pads)
