"""Maximum and mean over windows of [batch, height, width, channels].

Written with slices and reshapes: XLA's `reduce_window` and `select_and_scatter` are slow on CPUs.
Positions that fill no window are left out.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
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
    # A minimum of numbers: chains of selects become branches that a CPU cannot predict.
    none = jnp.int32(len(views))
    winner = functools.reduce(
        jnp.minimum, [jnp.where(view == y, jnp.int32(t), none) for t, view in enumerate(views)]
    )
    if window != stride:
        zero = jnp.zeros((), dx.dtype)
        chosen = [
            jnp.where(winner == t, view, zero) for t, view in enumerate(_views(dx, window, stride))
        ]
        return y, functools.reduce(jnp.add, chosen)
    pick = _pick_tiles if x.shape[3] % 8 == 0 else _pick_rows
    return y, pick(dx, winner, window)


def _pick_tiles(x: Array, winner: Array, window: int) -> Array:
    """The element of each tile that `winner` names; fast where channels fill vector registers."""
    place = jnp.arange(window * window, dtype=winner.dtype).reshape(window, 1, window, 1)
    chosen = winner[:, :, None, :, None] == place
    return jnp.where(chosen, _tiles(x, window), jnp.zeros((), x.dtype)).sum((2, 4))


def _pick_rows(x: Array, winner: Array, window: int) -> Array:
    """The same by rows of tiles, as splits, whose transpose is a concatenation."""
    tiles = _tiles(x, window)
    batch, height, _, width, _, channels = tiles.shape
    rows = lax.split(tiles.reshape(batch, height, window, width, -1), (1,) * window, axis=2)
    wide = jnp.concatenate([winner] * window, -1)
    place = jnp.repeat(jnp.arange(window, dtype=winner.dtype), channels)
    chosen = [
        jnp.where(wide == place + i * window, row[:, :, 0], jnp.zeros((), x.dtype))
        for i, row in enumerate(rows)
    ]
    return functools.reduce(
        jnp.add, lax.split(functools.reduce(jnp.add, chosen), (channels,) * window, axis=3)
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
