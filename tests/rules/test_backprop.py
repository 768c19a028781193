import itertools

import jax
import pytest
from helpers import assert_close, batch, gradient, network, spread

from metaplastic.losses import LOSSES
from metaplastic.rules.backprop import Backprop

DENSE = itertools.product(["dense"], sorted(LOSSES), ["none", "batch", "running"])
CONV = [("conv", "cross_entropy", norm) for norm in ("none", "batch", "running")]


@pytest.mark.parametrize(("kind", "loss", "norm"), [*spread(DENSE, 3), *spread(CONV, 1)])
def test_is_the_gradient(kind, loss, norm, x64, getkey):
    model = network(kind, norm=norm, bias=True, dropout=0.3, key=getkey())
    x, y = batch(kind, key=getkey())
    key = getkey()
    rule = Backprop(loss=loss)
    updates, _, _ = rule.updates(model, rule.init(model, key=key), x, y, key=key)
    assert_close(updates, gradient(model, LOSSES[loss], x, y, key=key), 1e-12)


def test_accepts_a_batch_of_one(x64, getkey):
    model = network("dense", key=getkey())
    x, y = batch("dense", size=1, key=getkey())
    updates, _, aux = Backprop().updates(model, (), x, y, key=getkey())
    assert jax.tree.leaves(updates)
    assert aux.output.shape == (1, 4)
