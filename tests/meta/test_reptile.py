"""Reptile: the way back from where lifetimes end."""

import equinox as eqx
import jax
import jax.random as jr
import pytest
from helpers import assert_close, to_float64
from toy_lifetimes import compiled, leaky

from metaplastic._errors import UsageError
from metaplastic.learners.online import OnlineLearner
from metaplastic.meta.reptile import Reptile
from metaplastic.models import mlp, plastic_layers, split, weights
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.tasks.sinusoid import Sinusoid


def online(getkey, rule=None, **options):
    rule = Backprop(loss="squared_error") if rule is None else rule

    def both(key):
        model = mlp((1,), 1, hidden=(4, 3), activation="tanh", bias=True, key=key)
        learner = OnlineLearner(model, rule, rate=0.05, key=key, **options)
        task = Sinusoid(shots=5, moments=3, queries=4)
        return to_float64(learner), jax.vmap(task.sample)(jr.split(key, 2))

    return compiled(both)(getkey())


@pytest.mark.parametrize("frozen", [0, 1])
def test_it_is_the_summed_descent_of_the_stream(x64, getkey, frozen):
    """W_start - W_end = rate * sum of the gradients on the way; questions play no part."""
    learner, batch = online(getkey, frozen=frozen)
    gradient, _ = compiled(Reptile())(learner, batch, key=getkey())

    front, back = split(learner.model, frozen)

    def loss(own, x, y):
        x = x if front is None else front(x)
        return 0.5 * ((eqx.combine(own, back)(x) - y) ** 2).sum(-1).mean()

    expected = jax.tree.map(lambda leaf: 0 * leaf, weights(back))
    for i in range(2):
        own = weights(back)
        for x, y in zip(batch.stream.x[i], batch.stream.y[i], strict=True):
            step = jax.grad(loss)(own, x, y)
            own = jax.tree.map(lambda w, g: w - 0.05 * g, own, step)
            expected = jax.tree.map(lambda e, g: e + 0.05 * g / 2, expected, step)
    own, theirs = plastic_layers(gradient.model), plastic_layers(expected)
    assert_close(own[frozen:], theirs, 1e-11)
    assert all(bool((leaf == 0).all()) for leaf in jax.tree.leaves(own[:frozen]))


def test_what_no_lifetime_hands_on_is_left_alone(x64, getkey):
    rule = FeedbackAlignment(loss="squared_error")
    learner, batch = online(getkey, rule, rates="tensor")
    gradient = compiled(Reptile())(learner, batch, key=getkey())[0]
    for part in (gradient.state, gradient.rate):
        leaves = jax.tree.leaves(part)
        assert leaves and all(bool((leaf == 0).all()) for leaf in leaves)


def test_nothing_to_move_is_told(x64, getkey):
    learner, batch = online(getkey, rates="global")
    where = eqx.tree_at(lambda own: own.rate, jax.tree.map(lambda _: False, learner), True)
    with pytest.raises(UsageError, match="hands on"):
        compiled(Reptile())(learner, batch, key=getkey(), where=where)


def test_a_learner_without_weights_to_hand_on_is_told(x64, getkey):
    _, batch = online(getkey)
    with pytest.raises(UsageError, match="Leaky has no weights"):
        compiled(Reptile())(leaky(size=1), batch, key=getkey())
