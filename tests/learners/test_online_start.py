"""What a lifetime's weights start from."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.learners.online import OnlineLearner
from metaplastic.models import mlp, plastic_layers
from metaplastic.rules.backprop import Backprop


def born(start, getkey, **options):
    """Learned layers, and those of two lifetimes."""
    model = mlp((30,), 20, hidden=(40, 50), bias=True, key=getkey())
    model = eqx.tree_at(
        lambda own: [layer.bias for layer in plastic_layers(own)],
        model,
        [jnp.ones_like(layer.bias) for layer in plastic_layers(model)],
    )
    learner = OnlineLearner(model, Backprop(), start=start, key=getkey(), **options)
    lives = [learner.birth(key=getkey()) for _ in range(2)]
    return plastic_layers(model), *(plastic_layers(life.model) for life in lives)


def kept(a, b):
    return [bool((p.weight == q.weight).all()) for p, q in zip(a, b, strict=True)]


def biases(layers):
    return [bool((layer.bias == 1).all()) for layer in layers]


def test_learned_weights_by_default(getkey):
    learned, first, second = born("learned", getkey)
    assert kept(learned, first) == kept(learned, second) == [True] * 3


def test_a_head_drawn_anew_in_every_lifetime(getkey):
    """As the published code does to the gradient-based learner alone."""
    learned, first, second = born("fresh_head", getkey)
    assert kept(learned, first) == kept(first, second) == [True, True, False]
    assert biases(first) == [True] * 3
    assert np.std(first[-1].weight) == pytest.approx((2 / 50) ** 0.5, rel=0.1)


def test_all_plastic_weights_drawn_anew(getkey):
    learned, first, second = born("fresh", getkey, frozen=1)
    assert kept(first, second) == kept(learned[1:], first) == [False, False]
    assert not first[0].bias.any()


def test_the_distribution_that_weights_are_redrawn_from(getkey):
    _, first, _ = born("fresh", getkey, redraw="xavier_uniform")
    bound = (6 / (40 + 50)) ** 0.5
    assert 0.9 * bound < np.abs(first[1].weight).max() <= bound


class _Redrawn(Backprop):
    """Its state is drawn anew in every lifetime."""

    def init(self, model, *, key):
        return jnp.zeros(())

    def reborn(self, model, state, *, key):
        return state + jr.normal(key)


def test_what_a_rule_carries_may_be_drawn_anew_in_every_lifetime(getkey):
    learner = OnlineLearner(mlp((2,), 1, hidden=(3,), key=getkey()), _Redrawn(), key=getkey())
    key = getkey()
    states = [learner.birth(key=own).rule for own in (key, key, getkey())]
    assert states[0] == states[1] != states[2]


def test_zeros(getkey):
    _, first, _ = born("zero", getkey)
    assert not any(layer.weight.any() or layer.bias.any() for layer in first)


@pytest.mark.parametrize("start", ["fresh_head", "fresh", "zero"])
def test_weights_drawn_anew_are_not_handed_on(start, getkey):
    model = mlp((2,), 1, hidden=(3,), key=getkey())
    learner = OnlineLearner(model, Backprop(loss="squared_error"), start=start, key=getkey())
    with pytest.raises(UsageError, match=f"--learner.start {start} draws weights anew"):
        learner.inherit(learner.birth(key=getkey()))
