import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from helpers import assert_close
from jax import lax

from metaplastic.models import (
    AveragePool,
    Flatten,
    GlobalAveragePool,
    Identity,
    MaxPool,
    Subsample,
)


def windows(x, start, combine, window, stride):
    """Pooling by XLA's own reduction over windows."""
    sizes, strides = (1, window, window, 1), (1, stride, stride, 1)
    return lax.reduce_window(x, start, combine, sizes, strides, "VALID")


ORACLES = {
    "max": (MaxPool(), lambda x: windows(x, -jnp.inf, lax.max, 2, 2)),
    "overlapping max": (MaxPool(3, 2), lambda x: windows(x, -jnp.inf, lax.max, 3, 2)),
    "average": (AveragePool(), lambda x: windows(x, 0.0, lax.add, 2, 2) / 4),
    "overlapping average": (AveragePool(3, 2), lambda x: windows(x, 0.0, lax.add, 3, 2) / 9),
    "global average": (GlobalAveragePool(), lambda x: jnp.einsum("bhwc->bc", x) / 63),
    "flatten": (Flatten(), lambda x: jnp.stack([image.ravel() for image in x])),
    "identity": (Identity(), lambda x: x),
    "subsample": (
        Subsample(2, 6),
        lambda x: jnp.zeros((2, 5, 4, 6)).at[..., 1:4].set(x[:, 0:9:2, 0:7:2]),
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_map_and_its_transpose(name, x64, getkey):
    node, oracle = ORACLES[name]
    x = jr.normal(getkey(), (2, 9, 7, 3))
    y, back = jax.vjp(oracle, x)
    signal = jr.normal(getkey(), y.shape)
    out, record = node.forward(x, training=True, masks=None, first_drive=None, key=None)
    assert_close(out, y, 1e-14)
    update, at_input = node.sweep(record, signal, [], lambda *_: None)
    assert_close(at_input, back(signal)[0], 1e-14)
    assert jax.tree.leaves(update) == []


def test_ties_go_to_the_first_unit():
    node = MaxPool()
    back = node.back(jnp.zeros((1, 2, 2, 1)), jnp.full((1, 1, 1, 1), 3.0))
    assert back.ravel().tolist() == [3, 0, 0, 0]
