"""Short-term plasticity against its equations in NumPy, its limits, its derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import spread, to_float64
from jax.flatten_util import ravel_pytree
from toy_lifetimes import compiled

from metaplastic._errors import UsageError
from metaplastic.learners.lifetime import lifetime, live
from metaplastic.learners.rnn import RecurrentLearner
from metaplastic.learners.stpn import Pace, stpn
from metaplastic.meta.unrolled import Unrolled
from metaplastic.tasks.associative_retrieval import AssociativeRetrieval
from metaplastic.tasks.continual_familiarity import ContinualFamiliarity
from metaplastic.tasks.sinusoid import Sinusoid

TASK = ContinualFamiliarity(dimension=4, moments=5, interval=(2,))
# Rates so large that memories are seen.
LARGE = {"hidden": 3, "spread": 1.5}
VARIANTS = [
    {"normalise": "pre"},
    {"normalise": "none", "weight_norm": False},
    {"normalise": "post"},
    {"normalise": "pre", "recurrent": False},
    {"normalise": "none"},
    {"normalise": "pre", "oja": True},
    {"normalise": "post", "oja": True, "clamp": 0.1},
    {"normalise": "pre", "prompt": True, "plastic_bias": True, "clamp": 0.1},
    {"normalise": "pre", "granularity": "neuron", "plastic_bias": True},
    {"normalise": "post", "granularity": "global", "prompt": True},
]


def _names(options):
    return "-".join(f"{name}-{own}" for name, own in options.items())


class Written:
    """One unit and one synapse after the other."""

    def __init__(self, learner, options):
        get = options.get
        self.o = {"recurrent": get("recurrent", True), "norm": get("weight_norm", True)}
        self.timing, self.clamp = options["normalise"], get("clamp", np.inf)
        self.oja, self.prompt = get("oja", False), get("prompt", False)
        self.w, self.b = np.array(learner.weight), np.array(learner.bias)
        self.lam = np.broadcast_to(np.array(learner.pace.decay), self.w.shape)
        self.gam = np.broadcast_to(np.array(learner.pace.rate), self.w.shape)
        self.bias_pace, self.readout = learner.bias_pace, learner.readout
        self.h, self.f, self.bf = 0 * self.b, 0 * self.w, 0 * self.b

    def step(self, x):
        u = np.concatenate([x, self.h]) if self.o["recurrent"] else x
        before, after = self.f, np.zeros_like(self.f)
        h, norms = np.zeros_like(self.h), np.zeros_like(self.h)
        for i in range(len(h)):
            g = self.w[i] + before[i]
            norms[i] = np.sqrt(sum(value**2 for value in g))
            received = sum(a * b for a, b in zip(g, u, strict=True))
            h[i] = np.tanh(received / (norms[i] if self.o["norm"] else 1) + self.b[i] + self.bf[i])
        kept = before / norms[:, None] if self.timing == "pre" else before
        for i in range(len(h)):
            for j in range(len(u)):
                towards = u[j]
                if self.oja:
                    towards -= sum(h[k] * kept[k, j] for k in range(len(h)))
                new, lam = self.gam[i, j] * h[i] * towards, self.lam[i, j]
                value = lam * (kept[i, j] + new) if self.prompt else lam * kept[i, j] + new
                after[i, j] = min(max(value, -self.clamp), self.clamp)
            if self.timing == "post":
                after[i] /= np.sqrt(((self.w[i] + after[i]) ** 2).sum())
        if self.bias_pace is not None:
            lam, new = np.array(self.bias_pace.decay), np.array(self.bias_pace.rate) * h
            self.bf = lam * (self.bf + new) if self.prompt else lam * self.bf + new
            self.bf = np.clip(self.bf, -self.clamp, self.clamp)
        self.h, self.f = h, after
        return h @ np.array(self.readout.weight) + np.array(self.readout.bias)


@pytest.mark.parametrize("options", spread(VARIANTS, 6), ids=_names)
def test_a_lifetime_is_the_equations(options, x64, getkey):
    learner = stpn(TASK, **LARGE, **options, key=getkey())
    episode = TASK.sample(getkey())
    lived = compiled(lifetime)(learner, episode, key=getkey())
    written = Written(learner, options)
    expected = [written.step(x) for x in np.array(episode.stream.x[:, 0])]
    np.testing.assert_allclose(lived.outputs[:, 0], expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(lived.life.memory, written.f, rtol=1e-10, atol=1e-12)
    assert np.abs(written.f).max() > 0.05
    if options.get("plastic_bias"):
        np.testing.assert_allclose(lived.life.bias, written.bf, rtol=1e-10, atol=1e-12)


def test_without_memory_it_is_a_recurrent_network_of_normalised_weights(x64, getkey):
    learner = stpn(TASK, **LARGE, key=getkey())
    still = Pace(jnp.zeros_like(learner.weight), jnp.zeros_like(learner.weight))
    still = eqx.tree_at(lambda own: own.pace, learner, still)
    unit = learner.weight / jnp.linalg.norm(learner.weight, axis=1, keepdims=True)
    plain = RecurrentLearner(
        weight=unit.T, bias=learner.bias, readout=learner.readout, told=0, activation="tanh"
    )
    episode, key = TASK.sample(getkey()), getkey()
    run = compiled(lambda own: lifetime(own, episode, key=key).outputs)
    np.testing.assert_allclose(run(still), run(plain), rtol=1e-10, atol=1e-12)
    assert jnp.abs(run(learner) - run(plain)).max() > 1e-3
    # gamma = 0 alone: nothing is ever written; `plastic` off is the same network.
    silent = eqx.tree_at(lambda own: own.pace.rate, learner, jnp.zeros_like(learner.weight))
    np.testing.assert_allclose(run(silent), run(plain), rtol=1e-10, atol=1e-12)
    none = eqx.tree_at(lambda own: own.pace, learner, None, is_leaf=lambda leaf: leaf is None)
    np.testing.assert_allclose(run(none), run(plain), rtol=1e-10, atol=1e-12)


def test_one_pace_for_all_is_the_same_pace_at_every_synapse(x64, getkey):
    key, episodes = getkey(), jax.vmap(TASK.sample)(jr.split(getkey(), 3))
    shared = stpn(TASK, **LARGE, granularity="global", key=key)
    each = jax.tree.map(lambda leaf: jnp.full_like(shared.weight, leaf), shared.pace)
    each = eqx.tree_at(lambda own: own.pace, shared, each)
    gradient = compiled(lambda own: Unrolled()(own, episodes, key=key))
    (ours, aux), (theirs, other) = gradient(shared), gradient(each)
    np.testing.assert_allclose(aux.loss, other.loss, rtol=1e-12)
    summed = jax.tree.map(jnp.sum, theirs.pace)
    np.testing.assert_allclose(ours.pace.decay, summed.decay, rtol=1e-9)
    np.testing.assert_allclose(ours.pace.rate, summed.rate, rtol=1e-9)
    np.testing.assert_allclose(ours.weight, theirs.weight, rtol=1e-9)


@pytest.mark.parametrize(
    "options", spread([own for own in VARIANTS if "clamp" not in own], 3), ids=_names
)
def test_derivatives_are_those_of_finite_differences(options, x64, getkey):
    learner = stpn(TASK, **LARGE, **options, key=getkey())
    episode, key = TASK.sample(getkey()), getkey()
    arrays, rest = eqx.partition(learner, eqx.is_inexact_array)
    flat, build = ravel_pytree(arrays)

    @jax.jit
    def loss(values):
        return live(eqx.combine(build(values), rest), episode, key=key).loss

    way = jr.normal(getkey(), flat.shape)
    numeric = (loss(flat + 1e-6 * way) - loss(flat - 1e-6 * way)) / 2e-6
    gradient = jax.jit(jax.grad(loss))(flat)
    size = jnp.linalg.norm(gradient)
    assert size > 1e-2
    assert abs(gradient @ way - numeric) < 1e-7 * size * jnp.linalg.norm(way)


def test_units_without_synapses_have_finite_derivatives(x64, getkey):
    learner = stpn(TASK, **LARGE, key=getkey())
    learner = eqx.tree_at(lambda own: own.weight, learner, jnp.zeros_like(learner.weight))
    episodes = jax.vmap(TASK.sample)(jr.split(getkey(), 2))
    gradient, aux = compiled(Unrolled())(learner, episodes, key=getkey())
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, aux)))


def test_lifetimes_side_by_side_are_each_alone(x64, getkey):
    learner = stpn(TASK, **LARGE, key=getkey())
    episodes, keys = jax.vmap(TASK.sample)(jr.split(getkey(), 3)), jr.split(getkey(), 3)
    together = compiled(jax.vmap(lambda own, key: live(learner, own, key=key).loss))(episodes, keys)
    alone = compiled(lambda own, key: live(learner, own, key=key).loss)
    for i in range(3):
        own = jax.tree.map(lambda leaf, i=i: leaf[i], episodes)
        np.testing.assert_allclose(alone(own, keys[i]), together[i], rtol=1e-12)


def test_answering_is_the_next_moment_and_changes_nothing(getkey):
    learner = stpn(TASK, **LARGE, key=getkey())
    life = learner.birth(key=getkey())
    life, _ = learner.step(life, jnp.ones((1, 4)), None, key=getkey())
    x = jr.normal(getkey(), (3, 4))
    answers = learner.predict(life, x)
    for one, answer in zip(x, answers, strict=True):
        output = learner.step(life, one[None], None, key=getkey())[1]
        np.testing.assert_allclose(output[0], answer, rtol=1e-5)


def test_initial_scales_and_numbers(getkey):
    task = AssociativeRetrieval()
    learner = stpn(task, key=getkey())
    count = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(learner, eqx.is_inexact_array)))
    assert learner.weight.shape == (11, 48) and count == 2039
    decay, rate = np.array(learner.pace.decay), np.array(learner.pace.rate)
    assert 0 <= decay.min() < 0.05 and 0.95 < decay.max() < 1
    assert 0.9e-3 < np.abs(rate).max() * 11**0.5 < 1e-3 and abs(rate.mean()) < 3e-5
    assert 0.9 < np.abs(np.array(learner.weight)).max() * 11**0.5 < 1
    forward = stpn(task, hidden=13, recurrent=False, key=getkey())
    assert forward.weight.shape == (13, 37)
    assert 0.9 < np.abs(np.array(forward.weight)).max() * 37**0.5 < 1


@pytest.mark.parametrize(
    "options, words",
    [
        ({"hidden": 0}, "hidden 0"),
        ({"clamp": 0.0}, "must be positive"),
        ({"spread": -1.0}, "must not be negative"),
    ],
)
def test_impossible_networks_are_one_sentence(options, words, getkey):
    with pytest.raises(UsageError, match=words):
        stpn(TASK, **options, key=getkey())


def test_it_lives_through_one_sequence(getkey):
    task = Sinusoid(shots=5)
    learner = stpn(task, key=getkey())
    with pytest.raises(UsageError, match="one example a moment, not 5"):
        live(learner, task.sample(getkey()), key=getkey())


@pytest.mark.slow
def test_it_retrieves_and_others_do_not():
    """A third of the bar's meta-steps of smaller batches: the order is there already."""
    from metaplastic.train.design import Design, Part
    from metaplastic.train.meta_options import MetaOptions
    from metaplastic.train.meta_trainer import MetaTrainer

    def accuracy(name, **fields):
        design = Design(learner=Part(name, fields), task=Part("associative_retrieval"))
        options = MetaOptions(steps=4000, meta_batch=64, lr=3e-3, test_lifetimes=1000)
        trainer = MetaTrainer(*design.make(), options)
        state, _ = trainer.chunk(trainer.initial([0]), 0, length=options.steps)
        return float(trainer.test(state).metric.mean())

    assert accuracy("stpn") > accuracy("stpn", plastic=False) + 0.3


def test_float64_is_kept(x64, getkey):
    learner = to_float64(stpn(TASK, **LARGE, key=getkey()))
    outputs = lifetime(learner, TASK.sample(getkey()), key=getkey()).outputs
    assert outputs.dtype == jnp.float64
