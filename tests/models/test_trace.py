import jax
import jax.numpy as jnp
import pytest
from helpers import assert_close, batch, network

from metaplastic._errors import UsageError
from metaplastic.models import (
    LayerShape,
    Sequential,
    is_weight,
    layer_shapes,
    lenet,
    mlp,
    plastic_layers,
    weights,
    with_layers,
    zero_updates,
)


def test_trace_holds_what_every_layer_did(x64, getkey):
    model = network("dense", bias=True, dropout=0.3, key=getkey())
    x, _ = batch("dense", key=getkey())
    trace = model.trace(x, key=getkey())
    h = x
    for layer, own in zip(plastic_layers(model), trace.layers, strict=True):
        assert_close(own.pre, h, 1e-14)
        assert_close(own.drive, h @ layer.weight + layer.bias, 1e-14)
        h = own.post
    assert_close(trace.output, h, 0)


def test_first_drive_replaces_the_first_linear_map_alone(x64, getkey):
    model = network("conv", key=getkey())
    x, _ = batch("conv", key=getkey())
    plain = model.trace(x)
    drive = plain.layers[0].drive
    assert_close(model.trace(0 * x, first_drive=drive).output, plain.output, 0)
    shifted = model.trace(x, first_drive=drive + 1)
    assert_close(shifted.layers[0].drive, drive + 1, 0)
    assert_close(shifted.layers[1].drive, plastic_layers(model)[1].linear(shifted.layers[1].pre), 0)


def test_weights_are_what_learns(x64, getkey):
    model = network("dense", norm="running", bias=True, key=getkey())
    learning = weights(model)
    # Two normalised layers of W, b, scale, offset; an output of W, b.
    assert len(jax.tree.leaves(learning)) == 2 * 4 + 2
    assert plastic_layers(learning)[0].norm.running.mean is None
    assert sum(jax.tree.leaves(is_weight(model))) == 10
    zeros = zero_updates(model)
    assert jax.tree.structure(zeros) == jax.tree.structure(learning)
    assert not any(leaf.any() for leaf in jax.tree.leaves(zeros))


def test_layers_are_replaced_in_order(x64, getkey):
    model = network("dense", hidden=(5, 5), key=getkey())
    first, second, last = plastic_layers(model)
    swapped = with_layers(model, [second, first, last])
    assert (plastic_layers(swapped)[0].weight == second.weight).all()
    assert jax.tree.structure(swapped) == jax.tree.structure(model)


def test_layer_shapes(getkey):
    model = lenet((32, 36, 1), 4, filters=(2, 3, 5), norm="batch", key=getkey())
    assert layer_shapes(model) == [
        LayerShape((32, 36, 1), (28, 32, 2)),
        LayerShape((14, 16, 2), (10, 12, 3)),
        LayerShape((5, 6, 3), (1, 2, 5)),
        LayerShape((10,), (84,)),
        LayerShape((84,), (4,)),
    ]
    dropped = mlp((2, 2, 1), 3, hidden=(6,), dropout=0.5, key=getkey())
    assert layer_shapes(dropped)[0] == ((4,), (6,))


def test_layer_shapes_within_a_map_over_seeds(getkey):
    @jax.vmap
    def first_units(key):
        return jnp.zeros(layer_shapes(mlp((3,), 2, hidden=(4,), key=key))[0].post)

    assert first_units(jax.random.split(getkey(), 2)).shape == (2, 4)


def test_layer_shapes_want_an_input_shape(getkey):
    with pytest.raises(UsageError, match="build it with Sequential"):
        layer_shapes(Sequential(*mlp((3,), 2, key=getkey()).nodes))
