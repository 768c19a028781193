import jax
import jax.numpy as jnp
import optax
import pytest
from helpers import assert_close, batch, forward_weights, gradient, network, update

from metaplastic._errors import UsageError
from metaplastic.losses import LOSSES
from metaplastic.models import plastic_layers, weights
from metaplastic.rules.kolen_pollack import KolenPollack


def differences(model, state):
    """W - B of every layer that has a B."""
    forward = forward_weights(model)
    return jax.tree.map(jnp.subtract, forward[1:], state[1:])


@pytest.mark.parametrize(
    "kind, optimiser",
    [("dense", optax.adam(0.05)), ("conv", optax.sgd(0.2, momentum=0.9))],
    ids=["dense-adam", "conv-momentum"],
)
def test_difference_shrinks_by_the_decay(kind, optimiser, x64, getkey):
    model = network(kind, bias=True, dropout=0.2, norm="batch", key=getkey())
    x, y = batch(kind, key=getkey())
    rule = KolenPollack(decay=0.1)
    state = rule.init(model, key=getkey())
    start, start_model = differences(model, state), model

    def step(carry, key):
        model, state, moments = carry
        updates, state, _ = rule.updates(model, state, x, y, key=key)
        with jax.numpy_dtype_promotion("standard"):  # which Adam needs
            changes, moments = optimiser.update(updates, moments, weights(model))
        model, state = rule.after_step(model, optax.apply_updates(model, changes), state)
        return (model, state, moments), None

    carry = (model, state, optimiser.init(weights(model)))
    keys = jax.random.split(getkey(), 8)
    model, state, _ = jax.jit(lambda: jax.lax.scan(step, carry, keys)[0])()
    expected = jax.tree.map(lambda leaf: 0.9**8 * leaf, start)
    assert_close(differences(model, state), expected, 5e-15 / 0.9**8)
    shrunk = jax.tree.map(lambda leaf: 0.9**8 * leaf, start_model)
    gaps = [
        jnp.abs(a.weight - b.weight).max()
        for a, b in zip(plastic_layers(model), plastic_layers(shrunk), strict=True)
    ]
    assert min(gaps) > 0.01  # the weights learnt, they did not just decay


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_with_forward_weights_is_the_gradient(kind, x64, getkey):
    model = network(kind, bias=True, norm="running", key=getkey())
    x, y = batch(kind, key=getkey())
    key = getkey()
    updates, _, _ = update(KolenPollack(), model, forward_weights(model), x, y, key=key)
    assert_close(updates, gradient(model, LOSSES["cross_entropy"], x, y, key=key), 1e-12)


def test_step_and_decay_by_hand(x64, getkey):
    before = network("dense", bias=True, norm="running", key=getkey())
    after = jax.tree.map(lambda leaf: leaf + 1.0, before)
    rule = KolenPollack(decay=0.01)
    state = rule.init(before, key=getkey())
    model, feedback = rule.after_step(before, after, state)
    assert feedback[0] is None
    for old, new, stepped in zip(*map(plastic_layers, (before, model, after)), strict=True):
        assert_close(new.weight, 0.99 * old.weight + 1, 1e-14)
        assert_close((new.bias, new.norm), (stepped.bias, stepped.norm), 0)
    for old, new in zip(state[1:], feedback[1:], strict=True):
        assert_close(new, 0.99 * old + 1, 1e-14)


def test_without_decay_the_difference_stays(x64, getkey):
    before = network("conv", key=getkey())
    after = jax.tree.map(lambda leaf: leaf * 1.5 - 0.1, before)
    rule = KolenPollack(decay=0.0)
    state = rule.init(before, key=getkey())
    model, feedback = rule.after_step(before, after, state)
    assert_close(differences(model, feedback), differences(before, state), 1e-14)
    assert_close(model, after, 0)


def test_impossible_decay():
    with pytest.raises(UsageError, match=r"decay 1\.5"):
        KolenPollack(decay=1.5)
