import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import assert_close, batch, network, update

from metaplastic.models import BatchNorm, Dense, absorb_statistics, plastic_layers
from metaplastic.rules.backprop import Backprop


@pytest.mark.parametrize("shape", [(9, 4), (3, 5, 2, 4)])
def test_normalises_every_channel(shape, x64, getkey):
    x = 3 + 2 * np.asarray(jr.normal(getkey(), shape))
    y, trace = BatchNorm(4, "batch")(jnp.asarray(x), training=True)
    axes = tuple(range(x.ndim - 1))
    expected = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)
    assert_close(y, jnp.asarray(expected), 1e-6)
    assert_close(trace.mean, jnp.asarray(x.mean(axes)), 1e-12)
    assert_close(trace.variance, jnp.asarray(x.var(axes)), 1e-12)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_running_statistics_are_averages_with_unbiased_variance(kind, x64, getkey):
    model = network(kind, norm="running", key=getkey())
    x, y = batch(kind, key=getkey())
    _, _, aux = update(Backprop(), model, (), x, y, key=getkey())
    after = absorb_statistics(model, aux.statistics)
    first = plastic_layers(model)[0]
    drive = np.asarray(first.linear(x)).reshape(-1, first.weight.shape[-1])
    running = plastic_layers(after)[0].norm.running
    np.testing.assert_allclose(running.mean, 0.1 * drive.mean(0), rtol=1e-6)
    np.testing.assert_allclose(running.variance, 0.9 + 0.1 * drive.var(0, ddof=1), rtol=1e-6)
    # Weights stay, and so does the layer that does not normalise.
    for old, new in zip(plastic_layers(model), plastic_layers(after), strict=True):
        assert (old.weight == new.weight).all()
    assert plastic_layers(after)[-1].norm is None


def test_evaluation_uses_running_statistics(x64, getkey):
    model = network("dense", norm="running", key=getkey())
    x, y = batch("dense", key=getkey())
    for _ in range(3):
        _, _, aux = update(Backprop(), model, (), x, y, key=getkey())
        model = absorb_statistics(model, aux.statistics)
    h = x
    for layer in plastic_layers(model)[:-1]:
        running = layer.norm.running
        h = jnp.tanh((h @ layer.weight - running.mean) / jnp.sqrt(running.variance + 1e-5))
    assert_close(model(x), h @ plastic_layers(model)[-1].weight, 1e-12)
    assert_close(model(x[:1]), model(x)[:1], 1e-12)  # no example meddles with another


def test_batch_mode_uses_the_present_batch_always(x64, getkey):
    model = network("dense", norm="batch", key=getkey())
    x, _ = batch("dense", key=getkey())
    trace = model.trace(x, key=getkey())
    assert_close(model(x), trace.output, 1e-14)
    assert not jnp.allclose(model(x[:2]), model(x)[:2])
    same = absorb_statistics(model, [layer.norm for layer in trace.layers])
    assert_close(same, model, 0)


def test_learning_needs_the_trace_of_the_normalisation(getkey):
    layer = Dense(5, 7, norm="batch", key=getkey())
    with pytest.raises(ValueError, match="pass `norm=`"):
        layer.learn(jnp.zeros((2, 5)), jnp.zeros((2, 7)))


def test_absorbing_is_jit_safe(x64, getkey):
    model = network("conv", norm="running", key=getkey())
    x, y = batch("conv", key=getkey())

    @jax.jit
    def step():
        _, _, aux = Backprop().updates(model, (), x, y, key=jax.random.key(0))
        return absorb_statistics(model, aux.statistics)

    assert jax.tree.structure(step()) == jax.tree.structure(model)
