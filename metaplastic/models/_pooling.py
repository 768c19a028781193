"""Maximum and mean over windows of [batch, height, width, channels].

Written with slices and reshapes: XLA's `reduce_window` and `select_and_scatter` are slow on CPUs.
Positions that fill no window are left out.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._errors import UsageError


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _max_pool(x: Array, window: int, stride: int) -> Array:
    return functools.reduce(jnp.maximum, _views(x, window, stride))


@_max_pool.defjvp
def _max_pool_jvp(
    window: int, stride: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    views = _views(x, window, stride)
    y = functools.reduce(jnp.maximum, views)
    last = len(views) - 1
    winner = jnp.full(y.shape, last, jnp.int8 if last < 128 else jnp.int32)
    for t in range(last - 1, -1, -1):
        winner = jnp.where(views[t] == y, winner.dtype.type(t), winner)
    zero = jnp.zeros((), dx.dtype)
    if window == stride:
        place = jnp.arange(window * window, dtype=winner.dtype).reshape(window, 1, window, 1)
        chosen = winner[:, :, None, :, None] == place
        return y, jnp.where(chosen, _tiles(dx, window), zero).sum((2, 4))
    views = _views(dx, window, stride)
    return y, functools.reduce(
        jnp.add, [jnp.where(winner == t, view, zero) for t, view in enumerate(views)]
    )


def max_pool(
    x: Float[Array, "batch height width channels"], *, window: int = 2, stride: int = 2
) -> Float[Array, "batch height2 width2 channels"]:
    """Maximum over windows. The derivative goes to the first maximal unit of a window in row-major
    order, as in PyTorch; windows of equal values (zeros after a relu) are common."""
    _check(x, window)
    return _max_pool(x, window, stride)


def average_pool(
    x: Float[Array, "batch height width channels"], *, window: int = 2, stride: int = 2
) -> Float[Array, "batch height2 width2 channels"]:
    """Mean over windows."""
    _check(x, window)
    if window == stride:
        return _tiles(x, window).sum((2, 4)) / (window * window)
    return functools.reduce(jnp.add, _views(x, window, stride)) / (window * window)


def _check(x: Array, window: int) -> None:
    if window > min(x.shape[1:3]):
        raise UsageError(
            f"a pooling window of {window} does not fit into an image of "
            f"{x.shape[1]}x{x.shape[2]}: use a smaller window"
        )


def _views(x: Array, window: int, stride: int) -> list[Array]:
    """For each place in a window, in row-major order, its value in all windows."""
    height, width = ((size - window) // stride * stride + 1 for size in x.shape[1:3])
    return [
        x[:, i : i + height : stride, j : j + width : stride]
        for i in range(window)
        for j in range(window)
    ]


def _tiles(x: Array, window: int) -> Array:
    """[batch, height2, window, width2, window, channels] of windows that do not overlap."""
    height, width = x.shape[1] // window, x.shape[2] // window
    x = x[:, : height * window, : width * window]
    return x.reshape(x.shape[0], height, window, width, window, x.shape[3])
