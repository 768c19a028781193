"""Networks of few-shot learning: four blocks, and six convolutions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from metaplastic._errors import UsageError
from metaplastic.models import Conv, conv4, conv6, layer_shapes, plastic_layers, split


def shapes(build, *args, **options):
    model = eqx.filter_eval_shape(lambda: build(*args, **options, key=jax.random.key(0)))
    return model, [own.post for own in layer_shapes(model)]


def test_blocks_with_pooling_and_with_strides():
    model, found = shapes(conv4, (84, 84, 3), 5)
    assert found == [(84, 84, 64), (42, 42, 64), (21, 21, 64), (10, 10, 64), (5,)]
    assert plastic_layers(model)[-1].weight.shape == (5 * 5 * 64, 5)
    _, found = shapes(conv4, (28, 28, 1), 5, strided=True, norm="batch")
    assert found == [(14, 14, 64), (7, 7, 64), (4, 4, 64), (2, 2, 64), (5,)]


def test_small_version_of_feedback_and_local_plasticity():
    """Three convolutions of stride 2, 512 features, 128 units, 20 outputs."""
    options = {"filters": (32, 32, 32), "hidden": (128,), "strided": True}
    model, found = shapes(conv4, (28, 28, 1), 20, **options)
    assert found == [(14, 14, 32), (7, 7, 32), (4, 4, 32), (128,), (20,)]
    assert [own.weight.shape for own in plastic_layers(model)[3:]] == [(512, 128), (128, 20)]


def test_six_convolutions():
    model, found = shapes(conv6, (84, 84, 1), 1000)
    sides = [own[0] for own in found[:6]]
    assert sides == [41, 39, 19, 17, 8, 3] and {own[2] for own in found[:6]} == {128}
    assert [own.weight.shape for own in plastic_layers(model)[6:]] == [(1152, 128), (128, 1000)]
    learning = sum(leaf.size for leaf in jax.tree.leaves(model))
    convolutions = 9 * 128 + 128 + 5 * (9 * 128 * 128 + 128)
    assert learning == convolutions + 1152 * 128 + 128 + 128 * 1000 + 1000


def test_strides_and_padding_are_those_of_the_usual_convolution(getkey):
    model = conv6((11, 11, 2), 4, filters=(3, 5), strides=(2, 1), hidden=(6,), key=getkey())
    x = jax.random.normal(getkey(), (2, 11, 11, 2))
    layers = plastic_layers(model)
    expected = x
    for layer in layers[:2]:
        assert isinstance(layer, Conv)
        expected = lax.conv_general_dilated(
            expected, layer.weight, (layer.stride,) * 2, "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        expected = jax.nn.relu(expected + layer.bias)
    expected = jax.nn.relu(expected.reshape(2, -1) @ layers[2].weight + layers[2].bias)
    expected = expected @ layers[3].weight + layers[3].bias
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


def test_the_front_is_the_convolutions_and_flattening(getkey):
    model = conv4((8, 8, 1), 3, filters=(2, 2), hidden=(4,), strided=True, key=getkey())
    front, back = split(model, 2)
    x = jnp.ones((1, 8, 8, 1))
    assert front(x).shape == (1, 8)
    np.testing.assert_allclose(back(front(x)), model(x), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "shape", "options", "message"),
    [
        (conv4, (8, 8, 1), {}, "conv4: 4 blocks do not fit images of 8x8"),
        (conv4, (64,), {}, "conv4 needs images"),
        (conv4, (28, 28, 1), {"filters": (4, 0)}, "--filters 4 0: every width"),
        (conv6, (28, 28, 1), {}, "conv6: 6 convolutions of 3x3 do not fit images of 28x28"),
        (conv6, (84, 84, 1), {"strides": (2, 1)}, "--strides 2 1: each of the 6 convolutions"),
    ],
)
def test_impossible_networks(build, shape, options, message, getkey):
    with pytest.raises(UsageError, match=message):
        build(shape, 5, **options, key=getkey())
