"""What is recorded of a lifetime is what the lifetime was."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from metaplastic.analysis.one_lifetime import fast_numbers, one_lifetime
from metaplastic.learners.hebbian import hebbian
from metaplastic.learners.lifetime import lifetime
from metaplastic.learners.online import online
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.flp import FLP
from metaplastic.tasks.one_shot import OneShot
from metaplastic.tasks.sinusoid import Sinusoid


def test_answers_state_and_questions_are_those_of_the_lifetime(getkey):
    task = Sinusoid(moments=4, shots=3, queries=6)
    learner = online(task, rule=Backprop(), hidden=(5,), rate=0.05, key=getkey())
    key = getkey()
    own = one_lifetime(learner, task, key=key)
    sample_key, life_key = jr.split(key)
    episode = task.sample(sample_key)
    lived = lifetime(learner, episode, key=life_key)
    np.testing.assert_allclose(own.output, lived.outputs, rtol=1e-5)
    np.testing.assert_allclose(own.after, lived.answers, rtol=1e-5)
    np.testing.assert_allclose(own.before, learner.model(episode.query.x), rtol=1e-5)
    error = jnp.square(lived.outputs - episode.stream.y).mean((1, 2))
    np.testing.assert_allclose(own.loss, error, rtol=1e-5)
    assert list(own.kept) == [0, 1, 2, 3, 4]
    weight = own.state["model.nodes.1.weight"]
    start = jax.tree.leaves(learner.birth(key=life_key).model)[0]
    np.testing.assert_allclose(weight[0], start)
    np.testing.assert_allclose(weight[-1], jax.tree.leaves(lived.life.model)[0], rtol=1e-5)
    assert own.target is None and own.weight is None and own.happens is None


def test_every_moment_is_kept_at_its_place(getkey):
    task = OneShot()
    learner, key = hebbian(task, eta=0.25, key=getkey()), getkey()
    own = one_lifetime(learner, task, key=key)
    trace = jnp.zeros((10, 2))
    for t in range(task.moments):
        np.testing.assert_allclose(own.state["0.trace"][t], trace, atol=1e-6)
        layer = learner.layers[0]
        post = jnp.tanh(own.x[t] @ (layer.weight + layer.plasticity.alpha * trace) + layer.bias)
        trace = 0.75 * trace + 0.25 * jnp.asarray(own.x[t]).T @ post
    np.testing.assert_allclose(own.state["0.trace"][-1], trace, atol=1e-6)
    assert own.asked is None and own.y is None
    assert fast_numbers(learner, task) == 20


def test_coefficients_that_a_lifetime_carries_along_are_no_fast_numbers(getkey):
    """The rule's state has 60 coefficients, feedback and strengths, which never change."""
    task = Sinusoid(moments=2)
    plain = online(task, rule=Backprop(), hidden=(5,), key=getkey())
    flp = online(task, rule=FLP(), hidden=(5,), key=getkey())
    assert fast_numbers(flp, task) == fast_numbers(plain, task) == 16
    assert set(one_lifetime(flp, task, key=getkey()).state) <= {
        f"model.nodes.{node}.{own}" for node in range(4) for own in ("weight", "bias")
    }


def test_of_large_lifetimes_fewer_moments_are_kept(getkey):
    task = OneShot()
    learner, key = hebbian(task, key=getkey()), getkey()
    every = one_lifetime(learner, task, key=key)
    few = one_lifetime(learner, task, most=5 * 20, key=key)
    assert list(few.kept) == [0, 5, 10, 15, 20]
    np.testing.assert_array_equal(few.state["0.trace"], every.state["0.trace"][few.kept])
    ends = one_lifetime(learner, task, most=1, key=key)
    assert list(ends.kept) == [0, 20]


def test_arrays_name_everything_and_what_never_changed_is_left_out(getkey):
    task = OneShot()
    learner = hebbian(task, plastic=False, key=getkey())
    arrays = one_lifetime(learner, task, key=getkey()).arrays()
    assert set(arrays) == {"x", "output", "loss", "target", "weight", "kept"}
    still = online(Sinusoid(), rule=Backprop(), hidden=(3,), rate=0.0, key=getkey())
    assert not [n for n in one_lifetime(still, Sinusoid(), key=getkey()).arrays() if "/" in n]
    assert all(eqx.is_array(own) for own in arrays.values())
