"""Convolution, max-pooling, linear read-out: the convolutional network of the PEPITA paper.

Dellaferrera & Kreiman (2022), "Error-driven input modulation", section 3 and Table 1: 32 filters
of 5x5, stride 1, no padding, no bias, ReLU, 2x2 max-pooling, and one fully connected layer.
"""

from collections.abc import Sequence

import jax

from .._errors import UsageError
from .._types import Key
from ._activations import ActivationName
from ._initialisers import InitialiserName
from .composite import Sequential
from .conv import Conv
from .dense import Dense
from .mlp import check_widths
from .normalisation import NormMode
from .pool import Flatten, MaxPool


def pepita_conv(
    shape: Sequence[int],
    classes: int,
    *,
    filters: Sequence[int] = (32,),
    kernel: int = 5,
    activation: ActivationName = "relu",
    bias: bool = False,
    norm: NormMode = "none",
    dropout: float = 0.0,
    initialiser: InitialiserName = "fan_in",
    key: Key,
) -> Sequential:
    """One block of convolution and 2x2 max-pooling for each entry of `filters`, then a dense
    output. Arguments: `shape` (height, width, channels) of one image; `kernel` side length."""
    check_widths("filters", filters)
    height, width, channels = image_shape("pepita_conv", shape)
    keys = jax.random.split(key, len(filters) + 1)
    nodes = []
    for index, count in enumerate(filters):
        height, width = height - kernel + 1, width - kernel + 1
        if min(height, width) < 2:
            raise UsageError(
                f"pepita_conv: {len(filters)} blocks with kernel {kernel} do not fit images of "
                f"{shape[0]}x{shape[1]}: give fewer --filters, or larger images with --resize"
            )
        layer = Conv(
            channels,
            count,
            kernel,
            activation=activation,
            bias=bias,
            norm=norm,
            dropout=dropout,
            initialiser=initialiser,
            key=keys[index],
        )
        nodes += [layer, MaxPool()]
        height, width, channels = height // 2, width // 2, count
    head = Dense(
        height * width * channels,
        classes,
        activation="identity",
        bias=bias,
        initialiser=initialiser,
        key=keys[-1],
    )
    return Sequential(*nodes, Flatten(), head, input_shape=shape)


def image_shape(model: str, shape: Sequence[int]) -> tuple[int, int, int]:
    """`(height, width, channels)`; `UsageError` where the examples are not images."""
    if len(shape) != 3:
        raise UsageError(
            f"{model} needs images [height, width, channels], the data has examples of shape "
            f"{tuple(shape)}: use --model mlp"
        )
    height, width, channels = shape
    return height, width, channels
