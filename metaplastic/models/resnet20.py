"""ResNet-20 for 32x32 images, its normalisation mode explicit.

He et al. (2016), "Deep residual learning", section 4.2: three stages of three basic blocks with
16, 32 and 64 filters, parameter-free shortcuts (option A).
"""

from collections.abc import Sequence

import jax

from .._types import Key
from ._activations import ActivationName
from ._initialisers import InitialiserName
from .composite import Residual, Sequential
from .conv import Conv
from .dense import Dense
from .normalisation import NormMode
from .pepita_conv import image_shape
from .pool import GlobalAveragePool, Identity, Subsample


def resnet20(
    shape: Sequence[int],
    classes: int,
    *,
    norm: NormMode = "running",
    blocks: int = 3,
    activation: ActivationName = "relu",
    initialiser: InitialiserName | None = None,
    key: Key,
) -> Sequential:
    """20 layers with `blocks=3` (6 `blocks` + 2 in general); the output layer alone has a bias.

    `norm`: `running` (batch statistics in training, their averages in evaluation), `batch`
    (batch statistics always) or `none`. `initialiser`: of all layers; where it is not given, the
    paper's `he_normal` for convolutions and `fan_in` for the output layer.
    """
    channels = image_shape("resnet20", shape)[2]
    keys = iter(jax.random.split(key, 6 * blocks + 2))

    def conv(inputs: int, filters: int, stride: int, activation: ActivationName) -> Conv:
        return Conv(
            inputs,
            filters,
            3,
            stride=stride,
            padding=1,
            activation=activation,
            norm=norm,
            initialiser=initialiser or "he_normal",
            key=next(keys),
        )

    nodes: list = [conv(channels, 16, 1, activation)]
    width = 16
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            body = Sequential(
                conv(width, filters, stride, activation), conv(filters, filters, 1, "identity")
            )
            same = stride == 1 and width == filters
            shortcut = Identity() if same else Subsample(stride, filters)
            nodes.append(Residual(body, shortcut, activation))
            width = filters
    head = Dense(
        width,
        classes,
        activation="identity",
        bias=True,
        initialiser=initialiser or "fan_in",
        key=next(keys),
    )
    return Sequential(*nodes, GlobalAveragePool(), head, input_shape=shape)
