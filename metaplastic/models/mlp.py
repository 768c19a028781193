"""Multilayer perceptron of any widths, on vectors or flattened images."""

import itertools
import math
from collections.abc import Sequence

import jax

from .._errors import UsageError
from .._types import Key
from ._activations import ActivationName
from ._initialisers import InitialiserName
from .composite import Sequential
from .dense import Dense
from .normalisation import NormMode
from .pool import Flatten


def mlp(
    shape: Sequence[int],
    classes: int,
    *,
    hidden: Sequence[int] = (1024,),
    activation: ActivationName = "relu",
    bias: bool = False,
    norm: NormMode = "none",
    dropout: float = 0.0,
    initialiser: InitialiserName = "he_uniform",
    key: Key,
) -> Sequential:
    """h_l = f(h_{l-1} W_l + b_l), with a linear output layer.

    Arguments: `shape` of one example, e.g. `(28, 28, 1)`; `classes` units in the output; `hidden`
    widths; `dropout` rate of the hidden units; `norm` batch normalisation of the hidden layers.

    >>> import jax
    >>> net = mlp((8, 8, 1), 10, hidden=(16,), key=jax.random.key(0))
    >>> net(jax.numpy.zeros((5, 8, 8, 1))).shape
    (5, 10)
    """
    check_widths("hidden", hidden)
    widths = [math.prod(shape), *hidden, classes]
    keys = jax.random.split(key, len(widths) - 1)
    layers = [
        Dense(
            inputs,
            units,
            activation="identity" if index == len(hidden) else activation,
            bias=bias,
            norm="none" if index == len(hidden) else norm,
            dropout=0.0 if index == len(hidden) else dropout,
            initialiser=initialiser,
            key=keys[index],
        )
        for index, (inputs, units) in enumerate(itertools.pairwise(widths))
    ]
    return Sequential(Flatten(), *layers, input_shape=shape)


def check_widths(name: str, widths: Sequence[int]) -> None:
    """Raise `UsageError` unless every width is positive."""
    if any(width < 1 for width in widths):
        raise UsageError(f"--{name} {' '.join(map(str, widths))}: every width must be at least 1")
