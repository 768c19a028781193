import equinox as eqx
import jax
import pytest

from metaplastic._errors import UsageError
from metaplastic.models import layer_shapes, lenet, weights


@pytest.mark.parametrize(
    "channels, count",
    [
        # 5x5x1x6+6, 5x5x6x16+16, 5x5x16x120+120, 120x84+84, 84x10+10
        (1, 156 + 2416 + 48120 + 10164 + 850),
        # 5x5x3x32+32, 5x5x32x64+64, 5x5x64x128+128, 128x84+84, 84x10+10
        (3, 2432 + 51264 + 204928 + 10836 + 850),
    ],
)
def test_parameters(channels, count, getkey):
    build = lambda: lenet((32, 32, channels), 10, key=getkey())  # noqa: E731
    learning = jax.tree.leaves(eqx.filter_eval_shape(lambda: weights(build())))
    assert sum(leaf.size for leaf in learning) == count
    assert layer_shapes(eqx.filter_eval_shape(build))[-1].post == (10,)


@pytest.mark.parametrize(
    "shape, filters, message",
    [
        ((28, 28, 1), (), "at least 32x32, these are 28x28: pass --resize 32"),
        ((32, 32, 1), (6, 16), "three convolutions, --filters names 2"),
        ((32, 32, 1), (6, 0, 3), "--filters 6 0 3: every width"),
        ((1024,), (), "lenet needs images"),
    ],
)
def test_impossible_networks(shape, filters, message, getkey):
    with pytest.raises(UsageError, match=message):
        lenet(shape, 10, filters=filters, key=getkey())
