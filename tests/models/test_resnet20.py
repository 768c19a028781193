import equinox as eqx
import jax
import pytest

from metaplastic._errors import UsageError
from metaplastic.models import (
    layer_shapes,
    plastic_layers,
    resnet20,
    standard_deviation,
    weights,
)


def parameters(**options):
    """How many numbers learn."""
    build = lambda: resnet20((32, 32, 3), 10, key=jax.random.key(0), **options)  # noqa: E731
    learning = eqx.filter_eval_shape(lambda: weights(build()))
    return sum(leaf.size for leaf in jax.tree.leaves(learning))


def test_parameters_of_twenty_layers(getkey):
    model = eqx.filter_eval_shape(resnet20, (32, 32, 3), 10, key=getkey())
    assert len(plastic_layers(model)) == 20
    first = 9 * 3 * 16
    stages = 6 * 9 * 16 * 16 + 9 * (16 * 32 + 5 * 32 * 32) + 9 * (32 * 64 + 5 * 64 * 64)
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    head = 64 * 10 + 10
    assert parameters() == first + stages + norms + head == 269_722
    assert parameters(norm="none") == 269_722 - norms


def test_stages_halve_the_image(getkey):
    model = eqx.filter_eval_shape(resnet20, (32, 32, 3), 10, blocks=1, key=getkey())
    posts = [shape.post for shape in layer_shapes(model)]
    assert posts == [*3 * [(32, 32, 16)], *2 * [(16, 16, 32)], *2 * [(8, 8, 64)], (10,)]


@pytest.mark.parametrize("norm, running", [("running", True), ("batch", False)])
def test_normalisation_is_explicit(norm, running, getkey):
    model = eqx.filter_eval_shape(resnet20, (8, 8, 1), 10, norm=norm, blocks=1, key=getkey())
    *hidden, head = plastic_layers(model)
    assert all((layer.norm.running is not None) == running for layer in hidden)
    assert all(layer.bias is None for layer in hidden)
    assert head.norm is None and head.bias is not None


def test_wants_images(getkey):
    with pytest.raises(UsageError, match="resnet20 needs images"):
        resnet20((64,), 10, key=getkey())


@pytest.mark.parametrize("name", [None, "xavier_uniform"])
def test_weights_follow_the_initialiser_the_output_layer_too(name, getkey):
    model = resnet20((8, 8, 3), 10, blocks=1, initialiser=name, key=getkey())
    *convolutions, head = (layer.weight for layer in plastic_layers(model))
    for weight in convolutions[2:]:
        expected = standard_deviation(name or "he_normal", weight.shape)
        assert float(weight.std()) == pytest.approx(expected, rel=0.05)
    expected = standard_deviation(name or "fan_in", head.shape)
    assert float(head.std()) == pytest.approx(expected, rel=0.1)
