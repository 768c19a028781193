"""Memory cells that inputs hold: against their equations in NumPy, and what is pinned stays."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from toy_lifetimes import compiled

from metaplastic._errors import UsageError
from metaplastic.analysis.synaptic_energy import synaptic_energy
from metaplastic.learners.hebbian import Readout
from metaplastic.learners.lifetime import lifetime
from metaplastic.learners.lstm import lstm
from metaplastic.learners.paths import paths
from metaplastic.meta.unrolled import Unrolled
from metaplastic.tasks.associative_retrieval import AssociativeRetrieval
from metaplastic.tasks.binary_patterns import BinaryPatterns
from metaplastic.tasks.sinusoid import Sinusoid
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer

TASK = BinaryPatterns(bits=4, patterns=2, on=2, off=1)


def logistic(a):
    return 1 / (1 + np.exp(-a))


def written(own, xs, scale):
    """Activities and cells of a lifetime, cell by cell, with the pinned numbers written out."""
    inputs, free = xs.shape[1], own.bias.shape[0] // 4
    h, c, seen = np.zeros(inputs + free), np.zeros(inputs + free), []
    for x in scale * xs:
        before, h = h, h.copy()
        for k in range(inputs):
            u = own.clamp.weight[:, [k, inputs + k, 2 * inputs + k]]
            c[k] = logistic(10 + before @ u[:, 0]) * np.tanh(10 * x[k] + before @ u[:, 1])
            h[k] = logistic(10 + before @ u[:, 2]) * np.tanh(c[k])
        for k in range(free):
            columns = [k, free + k, 2 * free + k, 3 * free + k]
            w, b = own.weight[:, columns], own.bias[columns]
            i, f, g, o = x @ w[:inputs] + before @ w[inputs:] + b
            c[inputs + k] = logistic(f) * c[inputs + k] + logistic(i) * np.tanh(g)
            h[inputs + k] = logistic(o) * np.tanh(c[inputs + k])
        seen.append(h)
    return np.stack(seen), c


def test_a_clamped_lifetime_is_the_equations(x64, getkey):
    # Weights so large that pinned gates are moved, and inputs so small that theirs is not all.
    learner = lstm(TASK, hidden=7, entry="clamp", input_scale=0.05, forget_bias=1.0, key=getkey())
    learner = jax.tree.map(lambda leaf: 8 * leaf, learner)
    episode = TASK.sample(getkey())
    done = compiled(lifetime)(learner, episode, key=getkey())
    own = jax.tree.map(np.array, learner)
    h, c = written(own, np.array(episode.stream.x[:, 0]), 0.05)
    np.testing.assert_allclose(done.outputs[:, 0], h[:, :4], rtol=1e-10)
    np.testing.assert_allclose(done.life.cell, c, rtol=1e-10)
    np.testing.assert_allclose(done.life.activity, h[-1], rtol=1e-10)
    assert np.ptp(np.abs(h[:, :4])) > 0.1  # neither all held nor all free


def test_inputs_hold_their_cells_and_free_what_is_zero(getkey):
    learner = lstm(TASK, hidden=9, entry="clamp", key=getkey())
    life = learner.birth(key=getkey())
    for x in ([1.0, -1.0, 1.0, -1.0], [0.3, -0.2, 0.0, 0.9], [0.0, 0.5, -1.0, 0.0]):
        life, output = learner.step(life, jnp.array([x]), None, key=getkey())
        given = np.array(x) != 0
        held = np.tanh(1) * np.sign(x)
        np.testing.assert_allclose(output[0][given], held[given], atol=1e-3)
        np.testing.assert_array_equal(output[0], life.activity[:4])
    filled = np.abs(output[0][~given])
    assert (filled > 0).all() and (filled < 0.7).all()  # by the other cells


def test_what_is_pinned_is_no_meta_parameter(getkey):
    learner = lstm(TASK, hidden=6, entry="clamp", key=getkey())
    # Two cells, which read four inputs and six cells, and what four held cells hear of the six.
    shapes = {"weight": (10, 8), "bias": (8,), "clamp.weight": (6, 12)}
    assert {name: leaf.shape for name, leaf in paths(learner).items()} == shapes
    episodes = jax.vmap(TASK.sample)(jr.split(getkey(), 2))
    gradient, _ = compiled(Unrolled())(learner, episodes, key=getkey())
    for leaf in jax.tree.leaves(gradient):
        assert jnp.isfinite(leaf).all() and (leaf != 0).any()


def test_meta_steps_that_decay_leave_what_is_pinned(getkey):
    options = MetaOptions(
        steps=3, meta_batch=2, lr=0.05, optimiser="adamw", l2=1.0, no_decay=(), test_lifetimes=2
    )
    trainer = MetaTrainer(
        lambda key: lstm(TASK, hidden=6, entry="clamp", key=key), TASK, Unrolled(), options
    )
    before = trainer.learner(trainer.initial([0]), 0)
    after = trainer.learner(trainer.chunk(trainer.initial([0]), 0, length=3)[0], 0)
    for old, new in zip(*map(jax.tree.leaves, (before, after)), strict=True):
        assert (old != new).mean() > 0.9
    for own in (before, after):
        pinned = own.clamp(jnp.zeros(4), jnp.zeros(6))
        assert [set(map(float, gate)) for gate in pinned] == [{10.0}, {-1000.0}, {0.0}, {10.0}]
        x = jnp.array([[1.0, -1.0, -1.0, 1.0]])
        _, output = own.step(own.birth(key=getkey()), x, None, key=getkey())
        np.testing.assert_allclose(output, np.tanh(1) * x, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"entry": "dense", "input_scale": 7.0}])
def test_without_clamps_it_is_the_plain_network_to_the_bit(options, getkey):
    key, x = getkey(), jr.normal(getkey(), (2, 1, 4))
    learner = lstm(TASK, hidden=3, **options, key=key)
    weight_key, bias_key, readout_key = jr.split(key, 3)
    v_key, c_key = jr.split(readout_key)
    shapes = ((weight_key, (7, 12)), (bias_key, (12,)), (v_key, (3, 4)), (c_key, (4,)))
    bound = 1 / np.sqrt(3)
    w, b, v, c = drawn = [jr.uniform(k, s, minval=-bound, maxval=bound) for k, s in shapes]
    for leaf, one in zip(jax.tree.leaves(learner), drawn, strict=True):
        np.testing.assert_array_equal(leaf, one)
    life, h, cell = learner.birth(key=key), jnp.zeros(3), jnp.zeros(3)
    for one in x:
        life, output = learner.step(life, one, None, key=key)
        i, f, g, o = jnp.split(jnp.concatenate([one[0], h]) @ w + b, 4)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(cell)
        np.testing.assert_array_equal(output[0], (h[None] @ v + c)[0])
    np.testing.assert_array_equal(life.cell, cell)


def test_the_answer_suits_the_task(getkey):
    told = lstm(Sinusoid(shots=1, moments=3), hidden=5, entry="clamp", key=getkey())
    assert isinstance(told.readout, Readout) and told.readout.weight.shape == (5, 1)
    life, x = told.birth(key=getkey()), jnp.ones((1, 1))
    life, _ = told.step(life, x, -x, key=getkey())
    np.testing.assert_allclose(life.activity[:2], np.tanh(1) * np.array([1, -1]), atol=1e-3)
    task = AssociativeRetrieval()
    classes = lstm(task, hidden=60, entry="clamp", key=getkey())
    assert classes.readout.weight.shape == (60, task.outputs)


def test_held_cells_have_an_energy(x64, getkey):
    learner = lstm(TASK, hidden=6, entry="clamp", input_scale=3.0, key=getkey())
    episodes, key = jax.vmap(TASK.sample)(jr.split(getkey(), 1)), getkey()
    energy, life = synaptic_energy(learner, episodes, key=key), learner.birth(key=key)
    for t, x in enumerate(episodes.stream.x[0]):
        u, h2 = np.array(x[0]) ** 2, np.array(life.activity) ** 2
        free = sum(3 * u @ abs(w[:4]) + h2 @ abs(w[4:]) for w in np.split(learner.weight, 4, 1))
        held = sum(h2 @ abs(w) for w in np.split(learner.clamp.weight, 3, 1)) + 30 * u
        np.testing.assert_allclose(energy[0, t], [*held, *free], rtol=1e-10)
        life, _ = learner.step(life, x, None, key=key)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"hidden": 0}, "at least one unit"),
        ({"entry": "clamp", "hidden": 4}, "--learner.hidden 4 must be 5 or more"),
        ({"entry": "clamp", "hidden": 9, "input_scale": 0.0}, "input-scale 0.0: it must be posi"),
        ({"entry": "clmp"}, "--learner.entry clmp: did you mean 'clamp'"),
    ],
)
def test_impossible_networks_are_one_sentence(options, words, getkey):
    with pytest.raises(UsageError, match=words):
        lstm(TASK, **options, key=getkey())
