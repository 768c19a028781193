"""The small networks on which rules are tried, and their data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ..models import (
    AbstractNetwork,
    Conv,
    Dense,
    GlobalAveragePool,
    Identity,
    Residual,
    Sequential,
    mlp,
    pepita_conv,
)

CLASSES = 3
BATCH = 5
"""Unlike every width of the networks, so that no axis is taken for another unnoticed."""


@dataclass(frozen=True)
class Case:
    """A kind of network and the data that it takes."""

    name: str
    shape: tuple[int, ...]
    """Of one example of the data."""
    build: Callable[..., AbstractNetwork]
    """`(shape, *, dropout, key)`; the shape is what the rule makes of the data's."""


def _tanh(shape: tuple[int, ...], *, dropout: float, key: Key) -> AbstractNetwork:
    return mlp(
        shape, CLASSES, hidden=(7, 6), activation="tanh", bias=True, dropout=dropout, key=key
    )


def _relu(shape: tuple[int, ...], *, dropout: float, key: Key) -> AbstractNetwork:
    return mlp(shape, CLASSES, hidden=(7, 6), bias=True, dropout=dropout, key=key)


def _conv(shape: tuple[int, ...], *, dropout: float, key: Key) -> AbstractNetwork:
    return pepita_conv(
        shape,
        CLASSES,
        filters=(3, 4),
        kernel=2,
        activation="tanh",
        bias=True,
        dropout=dropout,
        key=key,
    )


def _residual(shape: tuple[int, ...], *, dropout: float, key: Key) -> AbstractNetwork:
    del dropout
    keys = iter(jr.split(key, 4))

    def conv(channels: int, activation: Any) -> Conv:
        return Conv(
            channels, 4, 3, padding=1, norm="running", activation=activation, key=next(keys)
        )

    body = Sequential(conv(4, "tanh"), conv(4, "identity"))
    return Sequential(
        conv(shape[-1], "tanh"),
        Residual(body, Identity(), "tanh"),
        GlobalAveragePool(),
        Dense(4, CLASSES, activation="identity", bias=True, key=next(keys)),
        input_shape=shape,
    )


DENSE = (Case("dense", (8,), _tanh), Case("dense", (8,), _relu))
"""The dense network; with ReLU, for rules that refuse the other."""
IMAGES = (
    Case("convolutional", (9, 8, 2), _conv),
    Case("residual, batch-normalised", (4, 4, 2), _residual),
)


def cast(tree: Any, dtype: Any) -> Any:
    """The tree with its floating-point arrays in `dtype`."""
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, tree
    )


def examples(
    shape: tuple[int, ...], size: int, dtype: Any, *, key: Key
) -> tuple[jax.Array, jax.Array]:
    """Gaussian clusters, one a class, and their one-hot labels; every class is met."""
    centre_key, noise_key = jr.split(key)
    centres = 1.5 * jr.normal(centre_key, (CLASSES, *shape))
    labels = jnp.arange(size) % CLASSES
    x = centres[labels] + 0.5 * jr.normal(noise_key, (size, *shape))
    return x.astype(dtype), jax.nn.one_hot(labels, CLASSES, dtype=dtype)
