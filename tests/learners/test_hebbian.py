"""The plastic network against its equations written out, and what its options do."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.learners.hebbian import hebbian
from metaplastic.learners.lifetime import lifetime, live
from metaplastic.tasks.one_shot import OneShot
from metaplastic.tasks.pattern_completion import PatternCompletion
from metaplastic.tasks.sinusoid import Sinusoid


def test_a_lifetime_is_the_equations(x64, getkey):
    task = OneShot(variant="released")
    learner, episode = hebbian(task, eta=0.1, key=getkey()), task.sample(getkey())
    ours = jax.jit(lambda k: lifetime(learner, episode, key=k).outputs)(getkey())
    layer = learner.layers[0]
    w, alpha = np.array(layer.weight).T, np.array(layer.plasticity.alpha).T  # (units, inputs)
    trace = np.zeros_like(w)
    for x, output in zip(np.array(episode.stream.x[:, 0]), ours[:, 0], strict=True):
        y = np.tanh((w + alpha * trace) @ x + layer.bias)
        np.testing.assert_allclose(output, learner.readout.weight.T @ y + learner.readout.bias)
        trace = 0.9 * trace + 0.1 * np.outer(y, x)


def test_initial_scales_and_defaults(getkey):
    build = eqx.filter_jit(jax.vmap(lambda key: hebbian(OneShot(), key=key)))
    many = build(jr.split(getkey(), 4000))
    layer = many.layers[0]
    for values in (layer.weight, layer.bias, layer.plasticity.alpha, many.readout.bias):
        assert abs(float(values.std()) - 0.1) < 0.005 and abs(float(values.mean())) < 0.005
    assert (many.readout.weight >= 0).all()
    np.testing.assert_allclose(jnp.square(many.readout.weight).mean(), 0.01, rtol=0.1)
    assert layer.weight.shape[1:] == (10, 2) and many.readout.weight.shape[1:] == (2, 2)
    # Patterns are completed by one unit a bit; values are read out of as many units as asked for.
    assert hebbian(PatternCompletion(), key=getkey()).readout.weight is None
    assert hebbian(PatternCompletion(), hidden=(5,), key=getkey()).readout.weight.shape == (5, 8)
    assert hebbian(Sinusoid(), hidden=(5,), key=getkey()).readout.weight.shape == (5, 1)


def test_without_plasticity_a_lifetime_leaves_nothing(getkey):
    task = OneShot(variant="released")
    key = getkey()
    plastic, fixed = (hebbian(task, plastic=own, key=key) for own in (True, False))
    np.testing.assert_array_equal(plastic.layers[0].weight, fixed.layers[0].weight)
    episode = task.sample(getkey())
    assert not jax.tree.leaves(lifetime(fixed, episode, key=key).life)
    # The same as coefficients of 0.
    still = eqx.tree_at(lambda own: own.layers[0].plasticity.alpha, plastic, jnp.zeros((10, 2)))
    ours, theirs = (live(own, episode, key=key).loss for own in (fixed, still))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert abs(live(plastic, episode, key=key).loss - ours) > 1e-5


def test_answering_changes_nothing_and_uses_the_trace(getkey):
    task = PatternCompletion()
    learner, x = hebbian(task, eta=0.5, key=getkey()), jnp.ones((1, 8))
    life = learner.birth(key=getkey())
    before = learner.predict(life, x)
    after, output = learner.step(life, x, None, key=getkey())
    np.testing.assert_array_equal(before, output)  # the answer comes before the change
    assert abs(learner.predict(after, x) - before).max() > 1e-3


def test_what_is_told_is_part_of_the_input(getkey):
    task = Sinusoid(shots=1, moments=3)
    learner = hebbian(task, hidden=(5, 4), key=getkey())
    assert [layer.weight.shape for layer in learner.layers] == [(2, 5), (5, 4)]
    life = learner.birth(key=getkey())
    x = jnp.ones((1, 1))
    outputs = [
        learner.step(life, x, y, key=getkey())[1]
        for y in (None, jnp.zeros((1, 1)), jnp.ones((1, 1)))
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])  # nothing told: zeros
    assert abs(outputs[2] - outputs[1]).max() > 1e-5
    assert jnp.isfinite(live(learner, task.sample(getkey()), key=getkey()).loss)


def test_positive_coefficients(getkey):
    learner = hebbian(OneShot(), positive=True, key=getkey())
    alpha = learner.layers[0].plasticity.alpha
    assert (alpha >= jnp.float32(1e-6)).all() and (alpha > 1e-3).any()
    free = hebbian(OneShot(), plastic=False, key=getkey())
    assert free.constrained().layers[0].plasticity is None


@pytest.mark.parametrize(
    "options, words",
    [
        ({"hidden": (0,)}, "at least one unit"),
        ({"hidden": (3,), "readout": "identity"}, "last layer of 2 units"),
        ({"scale": -1.0}, "must not be negative"),
        ({"scale": float("nan")}, "must not be negative"),
        ({"plastic": False, "positive": True}, "no-plastic leaves .*--learner.positive"),
        ({"plastic": False, "trace": "oja"}, "no-plastic leaves .*--learner.trace"),
        ({"plastic": False, "learn_eta": True}, "no-plastic leaves .*--learner.learn-eta"),
        ({"modulation": "simple", "learn_eta": True}, "learn-eta has no part in .*simple"),
    ],
)
def test_impossible_networks_are_one_sentence(options, words, getkey):
    with pytest.raises(UsageError, match=words):
        hebbian(OneShot(), **options, key=getkey())
