"""First order: the gradient at the adapted weights, and what else it sees."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from helpers import assert_close, to_float64
from toy_lifetimes import compiled, episodes, leaky

from metaplastic.learners.lifetime import lifetime
from metaplastic.learners.online import OnlineLearner
from metaplastic.meta.first_order import FirstOrder
from metaplastic.meta.truncated import Truncated
from metaplastic.meta.unrolled import Unrolled
from metaplastic.models import mlp, weights
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.tasks.sinusoid import Sinusoid


def online(getkey, rule, **options):
    """A learner with three layers, and two episodes of three moments; in float64."""

    def both(key):
        model = mlp((1,), 1, hidden=(4, 3), activation="tanh", bias=True, key=key)
        learner = OnlineLearner(model, rule, rate=0.05, key=key, **options)
        task = Sinusoid(shots=5, moments=3, queries=4)
        return to_float64(learner), jax.vmap(task.sample)(jr.split(key, 2))

    return compiled(both)(getkey())


def test_it_is_the_gradient_at_the_adapted_weights(x64, getkey):
    learner, batch = online(getkey, Backprop(loss="squared_error"))
    gradient = compiled(FirstOrder())(learner, batch, key=getkey())[0]

    def loss(own, query):
        return jnp.mean((eqx.combine(own, learner.model)(query.x) - query.y) ** 2)

    each = []
    for i in range(2):
        episode = jax.tree.map(lambda leaf, i=i: leaf[i], batch)
        adapted = weights(learner.inherit(lifetime(learner, episode, key=getkey()).life).model)
        each.append(jax.grad(loss)(adapted, episode.query))
    expected = jax.tree.map(lambda a, b: (a + b) / 2, *each)
    assert_close(weights(gradient.model), expected, 1e-12)


@pytest.mark.parametrize("rates", ["global", "synapse"])
def test_learned_rates_are_differentiated(x64, getkey, rates):
    """d loss / d rate = -sum_t grad L(W_T) . u_t with the updates u_t of each moment constant; one
    moment has no other derivative."""
    learner, batch = online(getkey, Backprop(loss="squared_error"), rates=rates)
    batch = eqx.tree_at(
        lambda own: (own.stream.x, own.stream.y),
        batch,
        (batch.stream.x[:, :1], batch.stream.y[:, :1]),
    )
    key = getkey()
    first = compiled(FirstOrder())(learner, batch, key=key)[0]
    whole = compiled(Unrolled())(learner, batch, key=key)[0]
    assert_close(first.rate, whole.rate, 1e-12)
    assert float(jnp.abs(jax.tree.leaves(first.rate)[0]).max()) > 0
    assert any(
        float(jnp.abs(a - b).max()) > 1e-3
        for a, b in zip(jax.tree.leaves(first.model), jax.tree.leaves(whole.model), strict=True)
    )


def test_feedback_acts_through_changes_alone_and_gets_no_gradient(x64, getkey):
    learner, batch = online(getkey, FeedbackAlignment(loss="squared_error"))
    key = getkey()
    first = compiled(FirstOrder())(learner, batch, key=key)[0]
    whole = compiled(Unrolled())(learner, batch, key=key)[0]
    assert all(bool((leaf == 0).all()) for leaf in jax.tree.leaves(first.state))
    assert any(bool((leaf != 0).any()) for leaf in jax.tree.leaves(whole.state))


def test_any_other_learner_at_first_order(x64, getkey):
    """Of `life' = a life + b x` only the identity is left: outputs and questions alike."""
    x = jr.normal(getkey(), (3, 4, 2))
    batch = episodes(x, target=jnp.roll(x, 1, 1), asked=x[:, 0])
    learner = leaky()
    gradient, aux = compiled(FirstOrder())(learner, batch, key=getkey())
    expected = 0
    for i in range(3):
        episode = jax.tree.map(lambda leaf, i=i: leaf[i], batch)
        lived = lifetime(learner, episode, key=getkey())
        expected += 2 * (lived.outputs - episode.stream.target).sum((0, 1)) / 3
        expected += 2 * (lived.answers - episode.query.y).sum(0) / 3
    assert_close(gradient.start, expected, 1e-13)
    assert bool((gradient.decay == 0).all()) and bool((gradient.gain == 0).all())
    assert jax.tree.structure(gradient) == jax.tree.structure(learner)
    same = compiled(Unrolled())(learner, batch, key=getkey())[1]
    assert bool((aux.loss == same.loss).all())


def test_truncated_at_one_moment_lies_between(x64, getkey):
    """One moment of MAML: truncated is unrolled, and differs from first order."""
    learner, batch = online(getkey, Backprop(loss="squared_error"))
    key = getkey()
    whole, part, first = (
        compiled(own)(learner, batch, key=key)[0].model
        for own in (Unrolled(), Truncated(steps=1), FirstOrder())
    )

    def distance(a, b):
        pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
        return sum(float(jnp.square(p - q).sum()) for p, q in pairs)

    assert distance(part, whole) < distance(first, whole)
    assert distance(part, first) > 0
