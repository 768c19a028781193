"""The small networks on which rules are tried, and their data."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

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


def network(
    case: Case, shape: tuple[int, ...], dtype: Any, *, dropout: float, seed: int
) -> AbstractNetwork:
    """The network with weights from NumPy's generator, for which nothing is compiled.

    One-dimensional arrays are positive, since variances may be among them.
    """
    random = np.random.default_rng(seed)

    def fill(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        if len(leaf.shape) < 2:
            return jnp.asarray(random.uniform(0.2, 0.6, leaf.shape), dtype)
        deviation = math.prod(leaf.shape[:-1]) ** -0.5
        return jnp.asarray(deviation * random.standard_normal(leaf.shape), dtype)

    build = functools.partial(case.build, shape, dropout=dropout)
    return jax.tree.map(fill, eqx.filter_eval_shape(lambda key: build(key=key), jr.key(0)))


def examples(case: Case, size: int, dtype: Any, *, seed: int) -> tuple[jax.Array, jax.Array]:
    """Gaussian clusters, one a class, and their one-hot labels; every class is met."""
    random = np.random.default_rng(seed)
    centres = 1.5 * random.standard_normal((CLASSES, *case.shape))
    labels = np.arange(size) % CLASSES
    x = centres[labels] + 0.5 * random.standard_normal((size, *case.shape))
    return jnp.asarray(x, dtype), jnp.asarray(np.eye(CLASSES)[labels], dtype)
