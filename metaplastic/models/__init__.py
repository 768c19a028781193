"""Networks with traces. One file a layer type or network; see `base` for the contract."""

from ._activations import (
    ACTIVATIONS as ACTIVATIONS,
    Activation as Activation,
    ActivationName as ActivationName,
)
from ._initialisers import (
    InitialiserName as InitialiserName,
    draw as draw,
    standard_deviation as standard_deviation,
)
from .base import (
    AbstractFixedNode as AbstractFixedNode,
    AbstractLayer as AbstractLayer,
    AbstractNetwork as AbstractNetwork,
    AbstractNode as AbstractNode,
    LayerShape as LayerShape,
    LayerTrace as LayerTrace,
    Trace as Trace,
    is_weight as is_weight,
    layer_shapes as layer_shapes,
    plastic_layers as plastic_layers,
    weights as weights,
    with_layers as with_layers,
    zero_updates as zero_updates,
)
from .composite import Residual as Residual, Sequential as Sequential, split as split
from .conv import Conv as Conv
from .conv4 import conv4 as conv4
from .conv6 import conv6 as conv6
from .dense import Dense as Dense
from .lenet import lenet as lenet
from .mlp import mlp as mlp
from .normalisation import (
    BatchNorm as BatchNorm,
    NormMode as NormMode,
    absorb_statistics as absorb_statistics,
)
from .pepita_conv import pepita_conv as pepita_conv
from .pool import (
    AveragePool as AveragePool,
    Flatten as Flatten,
    GlobalAveragePool as GlobalAveragePool,
    Identity as Identity,
    MaxPool as MaxPool,
    Subsample as Subsample,
)
from .resnet20 import resnet20 as resnet20
