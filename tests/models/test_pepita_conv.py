import equinox as eqx
import jax.numpy as jnp
import pytest

from metaplastic._errors import UsageError
from metaplastic.models import layer_shapes, pepita_conv, plastic_layers


def test_is_the_network_of_the_paper(getkey):
    model = eqx.filter_eval_shape(pepita_conv, (28, 28, 1), 10, key=getkey())
    assert [layer.weight.shape for layer in plastic_layers(model)] == [(5, 5, 1, 32), (4608, 10)]
    assert all(layer.bias is None for layer in plastic_layers(model))
    assert layer_shapes(model)[-1] == ((4608,), (10,))


def test_blocks_are_stacked(getkey):
    model = pepita_conv((32, 30, 3), 5, filters=(4, 6), kernel=3, bias=True, key=getkey())
    kernels = [layer.weight.shape for layer in plastic_layers(model)]
    # 32x30 -> 30x28 -> 15x14 -> 13x12 -> 6x6
    assert kernels == [(3, 3, 3, 4), (3, 3, 4, 6), (216, 5)]
    assert [layer.bias.shape for layer in plastic_layers(model)] == [(4,), (6,), (5,)]
    assert eqx.filter_jit(model)(jnp.zeros((2, 32, 30, 3))).shape == (2, 5)


@pytest.mark.parametrize(
    "shape, options, message",
    [
        ((8, 8, 1), {"filters": (4, 4)}, "2 blocks with kernel 5 do not fit images of 8x8"),
        ((64,), {}, r"needs images .*\(64,\): use --model mlp"),
        ((28, 28, 1), {"filters": (32, -1)}, "--filters 32 -1: every width"),
    ],
)
def test_impossible_networks(shape, options, message, getkey):
    with pytest.raises(UsageError, match=message):
        pepita_conv(shape, 10, key=getkey(), **options)
