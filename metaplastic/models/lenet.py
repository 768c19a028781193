"""LeNet as in the feedback-alignment benchmark: three 5x5 convolutions and two dense layers.

Sanfiz & Akrout (2021), "Benchmarking the accuracy and robustness of feedback alignment
algorithms": 6-16-120 filters on MNIST, 32-64-128 on CIFAR-10, on images of 32x32; the dense layer
of 84 units is linear.
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
from .pool import Flatten, MaxPool


def lenet(
    shape: Sequence[int],
    classes: int,
    *,
    filters: Sequence[int] = (),
    activation: ActivationName = "relu",
    bias: bool = True,
    norm: NormMode = "none",
    initialiser: InitialiserName = "xavier_uniform",
    key: Key,
) -> Sequential:
    """conv5-pool-conv5-pool-conv5-dense(84, linear)-dense(classes).

    `filters`: three numbers; left empty, 6 16 120 for one channel and 32 64 128 for more.
    """
    height, width, channels = image_shape("lenet", shape)
    filters = tuple(filters) or ((6, 16, 120) if channels == 1 else (32, 64, 128))
    check_widths("filters", filters)
    if len(filters) != 3:
        raise UsageError(f"lenet has three convolutions, --filters names {len(filters)}")
    sides = [((side - 4) // 2 - 4) // 2 - 4 for side in (height, width)]
    if min(sides) < 1:
        raise UsageError(
            f"lenet needs images of at least 32x32, these are {height}x{width}: pass --resize 32"
        )
    keys = jax.random.split(key, 5)
    channel_pairs = zip((channels, *filters), filters, strict=False)
    first, second, third = (
        Conv(a, b, 5, activation=activation, bias=bias, norm=norm, initialiser=initialiser, key=k)
        for (a, b), k in zip(channel_pairs, keys[:3], strict=True)
    )
    units = sides[0] * sides[1] * filters[2]
    dense, head = (
        Dense(a, b, activation="identity", bias=bias, initialiser=initialiser, key=k)
        for (a, b), k in zip(((units, 84), (84, classes)), keys[3:], strict=True)
    )
    nodes = (first, MaxPool(), second, MaxPool(), third, Flatten(), dense, head)
    return Sequential(*nodes, input_shape=shape)
