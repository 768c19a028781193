"""A data set on the device: uint8 as it came, turned into inputs inside the step."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import UsageError
from .._types import Key
from ..data import Dataset, split_validation
from .options import TrainOptions
from .shuffle import shuffled

_MOST_VALUES = 4e9
"""Pixels of all training images together, after `--resize`."""


class Split(eqx.Module):
    """Examples with labels, on the device."""

    x: jax.Array
    """[n, *shape], in the type of the data set."""
    y: jax.Array
    """[n], 0..classes-1."""

    def __len__(self) -> int:
        return self.y.shape[0]


class Batches(eqx.Module):
    """Training, validation and test sets, and how an example becomes an input of the network."""

    train: Split
    valid: Split | None
    test: Split
    offset: jax.Array
    """Input = x * factor + offset, per channel or feature."""
    factor: jax.Array
    shape: tuple[int, ...] = eqx.field(static=True)
    classes: int = eqx.field(static=True)
    batch_size: int = eqx.field(static=True)
    augment: bool = eqx.field(static=True)

    @property
    def steps_per_epoch(self) -> int:
        return len(self.train) // self.batch_size

    def order(self, epoch: jax.Array, *, key: Key) -> jax.Array:
        """The shuffled order of an epoch's examples, [steps, batch]."""
        order = shuffled(len(self.train), key=jr.fold_in(key, epoch))
        return order[: self.steps_per_epoch * self.batch_size].reshape(-1, self.batch_size)

    def inputs(self, x: jax.Array) -> jax.Array:
        """Inputs of the network [n, *shape] in float32."""
        return x.astype(jnp.float32) * self.factor + self.offset

    def targets(self, y: jax.Array) -> jax.Array:
        """One-hot targets [n, classes] in float32."""
        return jax.nn.one_hot(y, self.classes, dtype=jnp.float32)

    def batch(self, indices: jax.Array, *, key: Key) -> tuple[jax.Array, jax.Array]:
        """Inputs and targets of the training examples with these indices [batch]."""
        x = self.inputs(self.train.x[indices])
        if self.augment:
            x = crop_and_flip(x, key=key)
        return x, self.targets(self.train.y[indices])


def make_batches(dataset: Dataset, options: TrainOptions, *, seed: int = 0) -> Batches:
    """Put a data set on the device as the options want it.

    Raises `UsageError` where a batch is larger than the training set, or an option needs images
    and the examples are none.
    """
    x, y, valid = dataset.x_train, dataset.y_train, None
    if options.validation:
        kept, held = split_validation(dataset, options.validation, seed)
        x, y, valid = kept.x, kept.y, (held.x, held.y)
    if options.batch_size > len(y):
        raise UsageError(
            f"--batch-size {options.batch_size} is larger than the {len(y)} training examples of "
            f"{dataset.name}: choose at most {len(y)}"
        )
    shape = dataset.shape
    _require_room(len(y), shape, options.resize)
    if len(shape) != 3 and (options.resize or options.augment):
        name = "--resize" if options.resize else "--augment"
        raise UsageError(f"{name} needs images, {dataset.name} has examples of shape {shape}")
    x, x_test = (_prepare(part, shape, options.resize) for part in (x, dataset.x_test))
    factor, offset = _affine(x, dataset.scale, options.input_range)
    if valid is not None:
        valid = Split(_prepare(valid[0], shape, options.resize), jnp.asarray(valid[1], jnp.int32))
    return Batches(
        train=Split(x, jnp.asarray(y, jnp.int32)),
        valid=valid,
        test=Split(x_test, jnp.asarray(dataset.y_test, jnp.int32)),
        offset=offset,
        factor=factor,
        shape=tuple(x.shape[1:]),
        classes=dataset.classes,
        batch_size=options.batch_size,
        augment=options.augment,
    )


def _require_room(examples: int, shape: tuple[int, ...], side: int | None) -> None:
    """Raise `UsageError` where enlarged images would take more memory than machines have."""
    values = examples * (side or 0) ** 2 * shape[-1]
    if values > _MOST_VALUES:
        fits = int((_MOST_VALUES / examples / shape[-1]) ** 0.5)
        raise UsageError(
            f"--resize {side} makes {values / 1e9:,.0f} billion pixels of {examples:,} images: "
            f"choose at most {fits}"
        )


def _prepare(x: np.ndarray, shape: tuple[int, ...], side: int | None) -> jax.Array:
    x = x.reshape(len(x), *shape)
    if side is None or (side, side) == shape[:2]:
        return jnp.asarray(x)
    parts = [
        np.asarray(
            jax.image.resize(part.astype(np.float32), (len(part), side, side, shape[2]), "linear")
        )
        for part in np.array_split(x, max(1, len(x) // 5000, len(x) * side**2 // 10**8))
    ]
    resized = np.concatenate(parts)
    return jnp.asarray(resized.round().astype(np.uint8) if x.dtype == np.uint8 else resized)


def _affine(x: jax.Array, scale: float, input_range: str) -> tuple[jax.Array, jax.Array]:
    """`(factor, offset)`, scalars or one a channel (or feature)."""
    if input_range == "unit":
        return jnp.float32(1 / scale), jnp.float32(0)
    if input_range == "symmetric":
        return jnp.float32(2 / scale), jnp.float32(-1)
    values = np.asarray(x).reshape(-1, x.shape[-1])
    mean, std = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
    std = np.where(std > 0, std, 1.0)  # a feature that never varies stays at zero
    return jnp.asarray(1 / std, jnp.float32), jnp.asarray(-mean / std, jnp.float32)


def crop_and_flip(x: jax.Array, *, key: Key, padding: int = 4) -> jax.Array:
    """Random crops of the zero-padded images [batch, height, width, channels], half of them
    mirrored left to right."""
    batch, height, width, channels = x.shape
    crop_key, flip_key = jr.split(key)
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    corners = jr.randint(crop_key, (batch, 2), 0, 2 * padding + 1)
    cropped = jax.vmap(
        lambda image, corner: jax.lax.dynamic_slice(
            image, (corner[0], corner[1], 0), (height, width, channels)
        )
    )(padded, corners)
    flip = jr.bernoulli(flip_key, shape=(batch, 1, 1, 1))
    return jnp.where(flip, cropped[:, :, ::-1], cropped)


def multiplications(layer_shapes: Any) -> int:
    """Multiplications of one forward pass for one example.

    `layer_shapes` holds `(weight shape, shape of the units)` a plastic layer.
    """
    return sum(math.prod(units) * math.prod(weight[:-1]) for weight, units in layer_shapes)
