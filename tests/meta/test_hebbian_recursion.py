"""The paper's recursion against reverse-mode derivatives and finite differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.learners.hebbian import hebbian
from metaplastic.learners.lifetime import live
from metaplastic.meta.hebbian_recursion import HebbianRecursion
from metaplastic.meta.unrolled import Unrolled
from metaplastic.tasks.base import Episode, Stream
from metaplastic.tasks.one_shot import OneShot
from metaplastic.tasks.pattern_completion import PatternCompletion
from metaplastic.tasks.reversal import Reversal
from metaplastic.tasks.sinusoid import Sinusoid

TASKS = {
    "completion": PatternCompletion(variant="released"),
    "one_shot": OneShot(variant="released"),
    "reversal": Reversal(variant="released"),
    "completion, 0/1": PatternCompletion(),
    "reversal, random order": Reversal(order="random"),
}


def subject(name, key, scale=1.0, episodes=3, **options):
    learner = hebbian(TASKS[name], scale=scale, eta=0.25, key=key, **options)
    return learner, jax.jit(jax.vmap(TASKS[name].sample))(jr.split(key, episodes))


@eqx.filter_jit
def gradient_of(estimator, learner, episodes, key):
    return estimator(learner, episodes, key=key)


def relative(a, b):
    return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


@pytest.mark.parametrize(
    "name, granularity",
    [*((name, "synapse") for name in TASKS), ("one_shot", "neuron"), ("one_shot", "global")],
)
def test_recursion_is_the_derivative(name, granularity, x64, getkey):
    learner, episodes = subject(name, getkey(), granularity=granularity)
    key = getkey()
    ours, aux = gradient_of(HebbianRecursion(), learner, episodes, key)
    theirs, expected = gradient_of(Unrolled(), learner, episodes, key)
    for own, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert own.dtype == jnp.float64
        assert relative(own, other) < 1e-12
    np.testing.assert_allclose(aux.loss, expected.loss, rtol=1e-13)
    np.testing.assert_array_equal(aux.metric, expected.metric)


def test_many_examples_of_a_moment_share_a_trace(x64, getkey):
    learner, episodes = subject("one_shot", getkey())
    # Three lifetimes become one with three examples at each moment.
    s = episodes.stream
    x, target = (jnp.swapaxes(leaf, 0, 2) for leaf in (s.x, s.target))
    joined = Episode(Stream(x, None, target, s.weight[:1]), None, episodes.criterion)
    assert x.shape == (1, 20, 3, 10)
    ours, _ = gradient_of(HebbianRecursion(), learner, joined, getkey())
    theirs, _ = gradient_of(Unrolled(), learner, joined, getkey())
    for own, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert relative(own, other) < 1e-12


def test_moments_that_do_not_happen_leave_no_trace(x64, getkey):
    learner, episodes = subject("one_shot", getkey())
    happens = (jnp.arange(20) % 5 != 3)[None].repeat(3, 0)
    masked = eqx.tree_at(
        lambda e: e.stream.mask, episodes, happens, is_leaf=lambda leaf: leaf is None
    )
    key = getkey()
    ours, _ = gradient_of(HebbianRecursion(), learner, masked, key)
    theirs, _ = gradient_of(Unrolled(), learner, masked, key)
    whole, _ = gradient_of(HebbianRecursion(), learner, episodes, key)
    for own, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert relative(own, other) < 1e-12
    assert relative(ours.layers[0].weight, whole.layers[0].weight) > 1e-3


def test_direct_bias_gradient_leaves_out_the_trace(x64, getkey):
    learner, episodes = subject("one_shot", getkey())
    key = getkey()
    whole, _ = gradient_of(HebbianRecursion(), learner, episodes, key)
    direct, _ = gradient_of(HebbianRecursion(bias="direct"), learner, episodes, key)
    away = relative(direct.layers[0].bias, whole.layers[0].bias)
    assert 0.001 < away < 1
    np.testing.assert_array_equal(direct.layers[0].weight, whole.layers[0].weight)
    # Without plasticity there is nothing to leave out.
    still = eqx.tree_at(lambda own: own.layers[0].plasticity.alpha, learner, jnp.zeros((10, 2)))
    whole, _ = gradient_of(HebbianRecursion(), still, episodes, key)
    direct, _ = gradient_of(HebbianRecursion(bias="direct"), still, episodes, key)
    np.testing.assert_allclose(direct.layers[0].bias, whole.layers[0].bias, rtol=1e-12)


@pytest.mark.parametrize("slope", ["exact", "reference"])
def test_finite_differences_expose_the_slope_of_the_released_code(slope, x64, getkey):
    """Moves of +-0.005 in every w and alpha; saturated units tell the two slopes apart."""
    learner, episodes = subject("one_shot", getkey(), scale=1.0, episodes=20)
    key = getkey()
    gradient, _ = gradient_of(HebbianRecursion(slope=slope), learner, episodes, key)

    def where(own):
        return own.layers[0].weight, own.layers[0].plasticity.alpha

    def loss(weight, alpha):
        own = eqx.tree_at(where, learner, (weight, alpha))
        return jax.vmap(lambda e: live(own, e, key=key).loss)(episodes).mean()

    wrong = []
    for index, (own, derivative) in enumerate(zip(where(learner), where(gradient), strict=True)):
        moves = 0.005 * jnp.eye(own.size).reshape(-1, *own.shape)

        def moved(sign, move, index=index):
            values = list(where(learner))
            values[index] = values[index] + sign * move
            return loss(*values)

        both = [jax.lax.map(lambda move, s=s: moved(s, move), moves) for s in (1.0, -1.0)]
        numeric = (both[0] - both[1]).reshape(own.shape) / 0.01
        wrong.append(relative(derivative, numeric))
    assert max(wrong) < 1e-3 if slope == "exact" else max(wrong) > 0.05


@pytest.mark.parametrize(
    "options, words",
    [
        ({"hidden": (3, 2)}, "2 plastic layers"),
        ({"trace": "oja"}, "trace oja"),
        ({"modulation": "simple"}, "modulation simple"),
        ({"learn_eta": True}, "learn-eta"),
        ({"plastic": False}, "no-plastic"),
    ],
)
def test_other_networks_are_refused_by_name(options, words, getkey):
    learner, episodes = subject("one_shot", getkey(), **options)
    with pytest.raises(UsageError, match=words):
        gradient_of(HebbianRecursion(), learner, episodes, getkey())


def test_questions_at_the_end_are_refused(getkey):
    task = Sinusoid()
    learner = hebbian(task, key=getkey())
    episodes = jax.vmap(task.sample)(jr.split(getkey(), 2))
    with pytest.raises(UsageError, match="questions"):
        gradient_of(HebbianRecursion(), learner, episodes, getkey())
