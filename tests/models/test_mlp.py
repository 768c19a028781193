import jax
import jax.numpy as jnp
import pytest

from metaplastic._errors import UsageError
from metaplastic.models import mlp, plastic_layers, weights


def test_layers_are_as_asked(getkey):
    model = mlp((8, 8, 1), 10, hidden=(16, 12), activation="tanh", norm="batch", dropout=0.2,
                bias=True, key=getkey())  # fmt: skip
    assert [layer.weight.shape for layer in plastic_layers(model)] == [(64, 16), (16, 12), (12, 10)]
    *hidden, head = plastic_layers(model)
    assert all((h.activation, h.dropout) == ("tanh", 0.2) and h.norm is not None for h in hidden)
    assert (head.activation, head.dropout, head.norm) == ("identity", 0.0, None)
    count = sum(leaf.size for leaf in jax.tree.leaves(weights(model)))
    assert count == (64 + 3) * 16 + (16 + 3) * 12 + 13 * 10
    assert model(jnp.zeros((5, 8, 8, 1))).shape == (5, 10)
    assert model.input_shape == (8, 8, 1)


def test_no_hidden_layer_is_a_linear_map(getkey):
    model = mlp((3,), 2, hidden=(), key=getkey())
    x = jax.random.normal(getkey(), (4, 3))
    assert jnp.allclose(model(x), x @ plastic_layers(model)[0].weight, rtol=1e-6)


def test_widths_are_positive(getkey):
    with pytest.raises(UsageError, match="--hidden 16 0: every width must be at least 1"):
        mlp((3,), 2, hidden=(16, 0), key=getkey())
