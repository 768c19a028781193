"""Plain, gated, fast-weight and Hebbian networks against their equations in NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from toy_lifetimes import compiled

from metaplastic._errors import UsageError
from metaplastic.learners.fast_weights import fast_weights
from metaplastic.learners.hebb_ff import hebb_ff
from metaplastic.learners.hebbian_recurrent import hebbian_recurrent
from metaplastic.learners.lifetime import lifetime, live
from metaplastic.learners.lstm import lstm
from metaplastic.learners.rnn import rnn
from metaplastic.meta.unrolled import Unrolled
from metaplastic.tasks.associative_retrieval import AssociativeRetrieval
from metaplastic.tasks.continual_familiarity import ContinualFamiliarity
from metaplastic.tasks.sinusoid import Sinusoid

TASK = ContinualFamiliarity(dimension=4, moments=6, interval=(2,))


def logistic(a):
    return 1 / (1 + np.exp(-a))


def lived(learner, getkey):
    """What a lifetime left, its inputs, and the numbers of the learner."""
    episode = TASK.sample(getkey())
    own = compiled(lifetime)(learner, episode, key=getkey())
    return own, np.array(episode.stream.x[:, 0]), jax.tree.map(np.array, learner)


def answers(own, activities):
    return np.stack(activities) @ own.readout.weight + own.readout.bias


def test_rnn(x64, getkey):
    done, xs, own = lived(rnn(TASK, hidden=3, key=getkey()), getkey)
    h, seen = np.zeros(3), []
    for x in xs:
        h = np.tanh(x @ own.weight[:4] + h @ own.weight[4:] + own.bias)
        seen.append(h)
    np.testing.assert_allclose(done.outputs[:, 0], answers(own, seen), rtol=1e-10)


def test_lstm(x64, getkey):
    done, xs, own = lived(lstm(TASK, hidden=3, forget_bias=1.0, key=getkey()), getkey)
    h, c, seen = np.zeros(3), np.zeros(3), []
    for x in xs:
        i, f, g, o = np.split(np.concatenate([x, h]) @ own.weight + own.bias, 4)
        c = logistic(f) * c + logistic(i) * np.tanh(g)
        h = logistic(o) * np.tanh(c)
        seen.append(h)
    np.testing.assert_allclose(done.outputs[:, 0], answers(own, seen), rtol=1e-10)
    np.testing.assert_allclose(done.life.cell, c, rtol=1e-10)
    without = (
        lstm(TASK, hidden=3, key=jr.key(1)),
        lstm(TASK, hidden=3, forget_bias=1.0, key=jr.key(1)),
    )
    assert (without[1].bias - without[0].bias).tolist() == [0] * 3 + [1] * 3 + [0] * 6


@pytest.mark.parametrize("norm", [True, False])
def test_fast_weights_attend_to_what_was_active(norm, x64, getkey):
    """The matrix is never formed here: only dot products with earlier activities."""
    learner = fast_weights(
        TASK, hidden=3, inner=2, decay=0.8, eta=0.7, layer_norm=norm, key=getkey()
    )
    if norm:
        gain = jnp.asarray([0.5, 1.0, 2.0])
        learner = eqx.tree_at(lambda own: own.norm.gain, learner, gain)
    done, xs, own = lived(learner, getkey)

    def active(received):
        if norm:
            scale = np.sqrt(received.var() + 1e-5)
            received = own.norm.gain * (received - received.mean()) / scale + own.norm.shift
        return np.tanh(received)

    past, h = [], np.zeros(3)
    for x in xs:
        boundary = np.concatenate([x, h]) @ own.weight + own.bias
        h = active(boundary)
        for _ in range(2):
            ages = range(len(past) - 1, -1, -1)
            attended = [
                0.7 * 0.8**age * old * (old @ h) for age, old in zip(ages, past, strict=True)
            ]
            h = active(boundary + sum(attended, np.zeros(3)))
        past.append(h)
    np.testing.assert_allclose(done.outputs[:, 0], answers(own, past), rtol=1e-10)


@pytest.mark.parametrize("sign", ["free", "hebb", "anti"])
def test_hebbian_weights_are_a_sum_over_the_past(sign, x64, getkey):
    learner = hebb_ff(TASK, hidden=3, decay=0.7, sign=sign, key=getkey())
    done, xs, own = lived(learner, getkey)
    eta = 5 / 4 if sign == "hebb" else -5 / 4
    assert float(learner.signed_rate()) == pytest.approx(eta)
    seen = []
    for x in xs:
        past = [0.7 ** (len(seen) - 1 - s) * h * (xs[s] @ x) for s, h in enumerate(seen)]
        seen.append(logistic(own.weight @ x + eta * sum(past, np.zeros(3)) + own.bias))
    np.testing.assert_allclose(done.outputs[:, 0], answers(own, seen), rtol=1e-10)
    closed = sum(
        eta * 0.7 ** (len(xs) - 1 - s) * np.outer(h, x)
        for s, (h, x) in enumerate(zip(seen, xs, strict=True))
    )
    np.testing.assert_allclose(done.life, closed, rtol=1e-10)


def test_hebbian_decay_is_held_in_its_range(getkey):
    learner = hebb_ff(TASK, key=getkey())
    over = eqx.tree_at(lambda own: own.decay, learner, jnp.asarray(1.2))
    assert float(over.constrained().decay) == 1.0
    assert float(learner.constrained().decay) == pytest.approx(0.99)


def test_plasticity_with_an_entrance(x64, getkey):
    """The plastic network of hidden units alone: inputs through weights, gated traces."""
    options = {"entry": "dense", "modulation": "simple", "scale": 0.5}
    done, xs, own = lived(hebbian_recurrent(TASK, hidden=3, **options, key=getkey()), getkey)
    y, trace, seen = np.zeros(3), np.zeros((3, 3)), []
    modulator = own.plasticity.modulator
    for x in xs:
        entering = x @ own.entrance.weight + own.entrance.bias
        after = np.tanh(y @ (own.weight + own.plasticity.alpha * trace) + entering)
        signal = np.tanh(after @ modulator.readout + modulator.bias)
        trace = np.clip(trace + signal * np.outer(y, after), -1, 1)
        y = after
        seen.append(y)
    np.testing.assert_allclose(done.outputs[:, 0], answers(own, seen), rtol=1e-10)
    assert np.abs(trace).max() > 0.05
    for wrong in ({"hidden": 0}, {"hidden": 3, "answer": "units"}):
        with pytest.raises(UsageError, match="dense"):
            hebbian_recurrent(TASK, entry="dense", **wrong, key=getkey())


BUILDERS = {"rnn": rnn, "lstm": lstm, "fast_weights": fast_weights, "hebb_ff": hebb_ff}


@pytest.mark.parametrize("name", BUILDERS)
def test_derivatives_reach_everything(name, getkey):
    learner = BUILDERS[name](TASK, hidden=3, key=getkey())
    episodes = jax.vmap(TASK.sample)(jr.split(getkey(), 2))
    gradient, aux = compiled(Unrolled())(learner, episodes, key=getkey())
    assert jnp.isfinite(aux.loss).all()
    for leaf in jax.tree.leaves(gradient):
        assert jnp.isfinite(leaf).all() and (leaf != 0).any()


def test_equal_numbers_of_parameters(getkey):
    """By default, those of short-term plasticity with 11 units on associative retrieval."""
    task = AssociativeRetrieval()
    learners = [eqx.filter_eval_shape(own, task, key=getkey()) for own in BUILDERS.values()]
    plastic = {"hidden": 17, "entry": "dense", "modulation": "simple", "learn_eta": False}
    learners.append(eqx.filter_eval_shape(hebbian_recurrent, task, **plastic, key=getkey()))
    count = [
        sum(leaf.size for leaf in jax.tree.leaves(own) if hasattr(leaf, "size")) for own in learners
    ]
    assert count == [1937, 2062, 1977, 1989, 1908]


def test_what_is_told_is_part_of_the_input(getkey):
    task = Sinusoid(shots=1, moments=3)
    learner = rnn(task, hidden=3, key=getkey())
    assert learner.weight.shape == (5, 3)  # x, y, three units
    life, x = learner.birth(key=getkey()), jnp.ones((1, 1))
    outputs = [
        learner.step(life, x, y, key=getkey())[1]
        for y in (None, jnp.zeros((1, 1)), jnp.ones((1, 1)))
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert abs(outputs[2] - outputs[1]).max() > 1e-3
    assert jnp.isfinite(live(learner, task.sample(getkey()), key=getkey()).loss)


@pytest.mark.parametrize(
    "build, options, words",
    [
        (rnn, {"hidden": 0}, "at least one unit"),
        (fast_weights, {"inner": 0}, "--learner.inner 0"),
        (fast_weights, {"decay": 1.5}, "between 0 and 1"),
        (hebb_ff, {"decay": 1.5}, "between 0 and 1"),
        (hebb_ff, {"sign": "hebb", "eta": -1.0}, "change one of them"),
    ],
)
def test_impossible_networks_are_one_sentence(build, options, words, getkey):
    with pytest.raises(UsageError, match=words):
        build(TASK, **options, key=getkey())
