"""Six convolutions and two dense layers: the network of OML and of feedback + local plasticity.

Javed & White (2019), "Meta-learning representations for continual learning", and Lindsey &
Litwin-Kumar (2020), "Learning to learn with feedback and local plasticity": 3x3 convolutions
without padding with strides 2, 1, 2, 1, 2, 2 on images of 84x84, then a dense layer and the output.
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
from .pepita_conv import image_shape
from .pool import Flatten


def conv6(
    shape: Sequence[int],
    classes: int,
    *,
    filters: Sequence[int] = (128, 128, 128, 128, 128, 128),
    strides: Sequence[int] = (2, 1, 2, 1, 2, 2),
    hidden: Sequence[int] = (128,),
    kernel: int = 3,
    activation: ActivationName = "relu",
    bias: bool = True,
    norm: NormMode = "none",
    initialiser: InitialiserName = "he_normal",
    key: Key,
) -> Sequential:
    """A convolution for each of `filters`, with the stride at its place in `strides`; a dense layer
    for each of `hidden`; a linear output.

    84x84 becomes 41-39-19-17-8-3. The papers use 256 filters, or 128 and a dense layer of 128 at
    half size, which is the default here.
    """
    check_widths("filters", filters)
    check_widths("hidden", hidden)
    height, width, channels = image_shape("conv6", shape)
    if len(strides) < len(filters) or any(stride < 1 for stride in strides):
        raise UsageError(
            f"--strides {' '.join(map(str, strides))}: each of the {len(filters)} convolutions of "
            "--filters needs one, of at least 1"
        )
    keys = jax.random.split(key, len(filters) + len(hidden) + 1)
    nodes = []
    for own_key, count, stride in zip(keys, filters, strides, strict=False):
        if min(height, width) < kernel:
            raise UsageError(
                f"conv6: {len(filters)} convolutions of {kernel}x{kernel} do not fit images of "
                f"{shape[0]}x{shape[1]}: use fewer --filters, smaller --strides or larger images"
            )
        layer = Conv(
            channels,
            count,
            kernel,
            stride=stride,
            activation=activation,
            bias=bias,
            norm=norm,
            initialiser=initialiser,
            key=own_key,
        )
        nodes.append(layer)
        height, width, channels = (
            (height - kernel) // stride + 1,
            (width - kernel) // stride + 1,
            count,
        )
    head = dense_head(
        height * width * channels,
        classes,
        hidden=hidden,
        activation=activation,
        bias=bias,
        initialiser=initialiser,
        keys=keys[len(filters) :],
    )
    return Sequential(*nodes, Flatten(), *head, input_shape=shape)


def dense_head(
    features: int,
    classes: int,
    *,
    hidden: Sequence[int],
    activation: ActivationName,
    bias: bool,
    initialiser: InitialiserName,
    keys: jax.Array,
) -> list[Dense]:
    """Dense layers of the widths `hidden`, and a linear output; a key for each."""
    widths = [features, *hidden, classes]
    return [
        Dense(
            widths[index],
            widths[index + 1],
            activation="identity" if index == len(hidden) else activation,
            bias=bias,
            initialiser=initialiser,
            key=keys[index],
        )
        for index in range(len(widths) - 1)
    ]
