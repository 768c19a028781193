"""Four blocks of convolution, normalisation and pooling: the usual network of few-shot learning.

Vinyals et al. (2016), "Matching networks for one shot learning", section 3: 3x3 convolutions with
padding, batch normalisation, ReLU, 2x2 max-pooling, and a linear output. Finn, Abbeel & Levine
(2017), section 5.2, use strides instead of pooling on Omniglot.
"""

from collections.abc import Sequence

import jax

from .._errors import UsageError
from .._types import Key
from ._activations import ActivationName
from ._initialisers import InitialiserName
from .composite import Sequential
from .conv import Conv
from .conv6 import dense_head
from .mlp import check_widths
from .normalisation import NormMode
from .pepita_conv import image_shape
from .pool import Flatten, MaxPool


def conv4(
    shape: Sequence[int],
    classes: int,
    *,
    filters: Sequence[int] = (64, 64, 64, 64),
    hidden: Sequence[int] = (),
    strided: bool = False,
    kernel: int = 3,
    activation: ActivationName = "relu",
    bias: bool = True,
    norm: NormMode = "none",
    initialiser: InitialiserName = "he_normal",
    key: Key,
) -> Sequential:
    """A block for each of `filters`, then dense layers of the widths `hidden`, then the output.

    `strided`: convolutions of stride 2 instead of pooling. `norm="batch"` is that of the papers,
    whose answers depend on the batch, and which a lifetime of one example a moment cannot use;
    hence none by default.
    """
    check_widths("filters", filters)
    check_widths("hidden", hidden)
    height, width, channels = image_shape("conv4", shape)
    keys = jax.random.split(key, len(filters) + len(hidden) + 1)
    nodes, padding = [], kernel // 2
    for own_key, count in zip(keys, filters, strict=False):
        if min(height, width) < 2 - strided:
            raise UsageError(
                f"conv4: {len(filters)} blocks do not fit images of {shape[0]}x{shape[1]}: use "
                "fewer --filters or larger images"
            )
        layer = Conv(
            channels,
            count,
            kernel,
            stride=2 if strided else 1,
            padding=padding,
            activation=activation,
            bias=bias,
            norm=norm,
            initialiser=initialiser,
            key=own_key,
        )
        nodes += [layer] if strided else [layer, MaxPool()]
        height, width = (
            ((side + 2 * padding - kernel) // 2 + 1 if strided else side // 2)
            for side in (height, width)
        )
        channels = count
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
