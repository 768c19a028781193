import jax
import pytest
from helpers import assert_close, batch, gradient, network, update

from metaplastic.losses import LOSSES
from metaplastic.models import plastic_layers
from metaplastic.rules.shallow import Shallow


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_only_the_output_layer_learns_and_by_the_gradient(kind, x64, getkey):
    model = network(kind, bias=True, norm="batch", dropout=0.3, key=getkey())
    x, y = batch(kind, key=getkey())
    key = getkey()
    updates, _, _ = update(Shallow(loss="squared_error"), model, (), x, y, key=key)
    *hidden, output = plastic_layers(updates)
    assert all(not leaf.any() for leaf in jax.tree.leaves(hidden))
    oracle = gradient(model, LOSSES["squared_error"], x, y, key=key)
    assert_close(output, plastic_layers(oracle)[-1], 1e-12)
