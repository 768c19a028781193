"""e-prop against autodiff, its two forms against each other, and what settles by it."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from metaplastic._errors import UsageError
from metaplastic.learners._spiking import Neurons, Synapses, Teaching
from metaplastic.learners.eprop import eprop
from metaplastic.learners.lifetime import live
from metaplastic.learners.solver import Batch, Solver
from metaplastic.meta.contrastive import Contrastive
from metaplastic.tasks.base import Episode, Query, Stream
from metaplastic.tasks.sinusoid import Sinusoid
from metaplastic.tasks.spiking_sinusoid import SpikingSinusoid
from metaplastic.testing._episodes import Clusters

ALPHA = np.exp(-1 / 30)
THRESHOLD = 0.1
RHO, STRENGTH = 0.3, 0.01
TASK = SpikingSinusoid()
SMALL = SpikingSinusoid(channels=5, duration=6)


def spikes(*shape, rate=0.5, seed=0):
    """Spike trains and targets of so many examples, [examples, time, channels] and [examples, 1];
    from NumPy's generator, for which nothing is compiled."""
    random = np.random.default_rng(seed)
    dtype = jnp.result_type(float)
    x = (random.uniform(size=shape) < rate).astype(dtype)
    return Batch(jnp.asarray(x), jnp.asarray(random.uniform(-3, 3, (shape[0], 1)).astype(dtype)))


def moved(fast, scale, seed=0):
    """Weights away from where they started, so that all terms of a slope count."""
    random = np.random.default_rng(seed)
    return Synapses(*(w + scale * random.standard_normal(w.shape).astype(w.dtype) for w in fast))


def plain_run(fast, x):
    """The network by its equations, in NumPy."""
    into, recurrent, out = (np.asarray(w) for w in fast)
    steps = x.shape[1]
    v = np.zeros((steps, x.shape[0], recurrent.shape[0]))
    z, o = np.zeros_like(v), np.zeros((steps, x.shape[0], out.shape[1]))
    for t in range(steps - 1):
        v[t + 1] = ALPHA * v[t] + z[t] @ recurrent + x[:, t] @ into - THRESHOLD * z[t]
        z[t + 1] = v[t + 1] > THRESHOLD
        o[t + 1] = ALPHA * o[t] + z[t + 1] @ out
    return z, v, o


@jax.custom_jvp
def step_of(distance):
    return (distance > 0).astype(distance.dtype)


@step_of.defjvp
def _(primals, tangents):
    (distance,), (tangent,) = primals, tangents
    psi = 0.3 * jnp.maximum(0.0, 1.0 - jnp.abs(distance) / THRESHOLD)
    return step_of(distance), psi * tangent


def oracle(fast, omega, batch, through):
    """L_learn as a plain recursion, to be differentiated: with what spikes do to other neurons
    through recurrent synapses where `through` is 1, without where it is 0."""

    def moment(state, x):
        v, z, o, spikes, total = state
        sent = through * z + (1.0 - through) * jax.lax.stop_gradient(z)
        v = ALPHA * v + sent @ fast.recurrent + x @ fast.into
        v = v - THRESHOLD * jax.lax.stop_gradient(z)
        z = step_of(v - THRESHOLD)
        o = ALPHA * o + z @ fast.out
        return (v, z, o, spikes + z, total + 0.5 * jnp.square(o - batch.y).sum()), None

    examples, steps = batch.x.shape[:2]
    still = jnp.zeros((examples, fast.recurrent.shape[0]))
    start = still, still, jnp.zeros_like(batch.y), still, 0.5 * jnp.square(batch.y).sum()
    x = jnp.swapaxes(batch.x, 0, 1)[:-1]
    _, _, _, spikes, total = jax.lax.scan(moment, start, x)[0]
    total = total + 0.5 * RHO * steps * jnp.square(spikes / steps - 0.2).sum()
    drawn = sum(jnp.square(a - b).sum() for a, b in zip(fast, omega, strict=True))
    return total / examples + 0.5 * STRENGTH * drawn


@eqx.filter_jit
def computed(learner, fast, batch):
    """Whatever the tests compare, in one program."""
    found = {"record": learner.neurons.run(fast, batch.x)}
    found["answer"] = learner.answer(fast, batch.x)
    found["loss"] = learner.learn_loss(fast, batch)
    gradient = jax.grad(oracle)
    cut, whole = (gradient(fast, learner.consolidated, batch, own) for own in (0.0, 1.0))
    found |= {"cut": cut, "whole": whole}
    for form in ("eprop", "eprop_online", "bptt"):
        own = dataclasses.replace(learner, slope=form)
        found[form] = own.learn_slope(fast, batch, key=jr.key(0))
    # What code finds that shows the synapses the input of the moment after.
    early = jnp.concatenate([batch.x[:, 1:], jnp.zeros_like(batch.x[:, :1])], 1)
    error = (found["record"].readout - batch.y) / batch.y.shape[0]
    pull = RHO * (found["record"].spikes.mean(0) - 0.2) / batch.y.shape[0]
    teaching = Teaching(error, pull)
    found["early"] = learner.neurons.eprop(fast, early, found["record"], teaching)
    return found


@functools.cache
def paper_size(scale):
    """The learner of the paper, a support set, weights, and what is computed there; float64."""
    ones = (1.0, 1.0, 1.0)
    learner = eprop(TASK, factors=ones, activity=RHO, strength=STRENGTH, key=jr.key(0))
    batch, fast = spikes(10, 20, 100, rate=0.05), moved(learner.consolidated, scale)
    return learner, batch, fast, computed(learner, fast, batch)


def differences(one, other):
    """Relative difference of each set of synapses."""
    return [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(one, other, strict=True)]


def cosine(one, other):
    one, other = (np.concatenate([np.ravel(leaf) for leaf in tree]) for tree in (one, other))
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def test_dynamics_and_loss_are_those_of_a_plain_loop(x64):
    learner, batch, fast, found = paper_size(0.02)
    y = np.asarray(batch.y)
    z, v, o = plain_run(fast, np.asarray(batch.x))
    assert 0.05 < z.mean() < 0.8
    np.testing.assert_array_equal(found["record"].spikes, z)
    np.testing.assert_allclose(found["record"].voltage, v, atol=1e-13)
    np.testing.assert_allclose(found["record"].readout, o, atol=1e-13)
    np.testing.assert_allclose(found["answer"], o.mean(0), atol=1e-13)
    energy = 0.5 * ((o - y) ** 2).sum() / 10
    # The rate of firing counts in every example by itself.
    activity = 0.5 * RHO * 20 * ((z.mean(0) - 0.2) ** 2).sum() / 10
    pairs = zip(fast, learner.consolidated, strict=True)
    drawn = 0.5 * STRENGTH * sum(float(((a - b) ** 2).sum()) for a, b in pairs)
    assert float(found["loss"]) == pytest.approx(energy + activity + drawn, rel=1e-12)


@pytest.mark.parametrize("scale", [0.0, 0.02])
def test_eprop_is_autodiff_without_what_spikes_do_to_other_neurons(x64, scale):
    *_, found = paper_size(scale)
    assert max(differences(found["eprop"], found["cut"])) < 1e-12
    assert max(differences(found["eprop_online"], found["eprop"])) < 1e-12


def test_eprop_is_close_to_backpropagation_through_time_at_birth(x64):
    *_, found = paper_size(0.0)
    for one, other in zip(found["eprop"], found["whole"], strict=True):
        assert cosine([one], [other]) > 0.99
    # It is not the same: what one spike makes others do is left out.
    *_, found = paper_size(0.02)
    assert min(differences(found["eprop"], found["whole"])[:2]) > 0.01


def test_a_trace_of_the_inputs_that_is_a_moment_early_would_be_found(x64):
    *_, found = paper_size(0.0)
    assert differences(found["early"], found["cut"])[0] > 1e-3
    assert max(differences(found["early"], found["cut"])[1:]) < 1e-12


def test_backpropagation_through_time_takes_the_derivative_of_its_surrogate(x64):
    *_, found = paper_size(0.02)
    assert max(differences(found["bptt"], found["whole"])) < 1e-12


@functools.cache
def _small():
    return eprop(SMALL, hidden=4, factors=(1.0, 1.0, 1.0), strength=0.3, key=jr.key(0))


def small(**changes):
    """A learner with 5 inputs and 4 neurons, in float64."""
    return dataclasses.replace(_small(), **changes)


@eqx.filter_jit
def evaluated(learner, fast, batch):
    loss, gradient = jax.value_and_grad(learner.eval_loss)(fast, batch)
    return loss, gradient, learner.eval_slope(fast, batch, key=jr.key(0))


def test_evaluation_of_the_answer(x64):
    """Without recurrent weights, what e-prop leaves out is zero."""
    learner, batch = small(nudge="answer"), spikes(3, 6, 5)
    fast = moved(learner.consolidated, 0.1)._replace(recurrent=jnp.zeros((4, 4)))
    loss, wanted, found = evaluated(learner, fast, batch)
    away = plain_run(fast, batch.x)[2].mean(0) - batch.y
    assert float(loss) == pytest.approx(float(np.square(away).mean()), rel=1e-12)
    assert max(differences(found, wanted)) < 1e-12


def test_inputs_without_time_are_constant_currents(x64):
    task = Clusters(input_shape=(3, 4, 1))
    learner = eprop(task, hidden=4, duration=7, key=jr.key(0))
    given = np.random.default_rng(0).standard_normal((5, *task.input_shape)).astype(np.float32)
    x = learner.perceive(jnp.asarray(given))
    assert x.shape == (5, 7, 12) and x.dtype == jnp.float64
    np.testing.assert_array_equal(x[:, 4], given.reshape(5, -1))
    y = np.eye(3)[[0, 1, 2, 0, 1]]
    fast = moved(learner.consolidated, 0.1)._replace(recurrent=jnp.zeros((4, 4)))
    loss, wanted, found = evaluated(learner, fast, Batch(x, jnp.asarray(y)))
    o = plain_run(fast, x)[2]
    surprise = np.log(np.exp(o).sum(-1)) - (o * y).sum(-1)
    assert float(loss) == pytest.approx(surprise.sum(0).mean(), rel=1e-12)
    wanted = wanted._replace(out=0.1 * wanted.out)  # its factor
    assert max(differences(found, wanted)) < 1e-12


def test_surrogates(x64):
    distance = jnp.asarray([-0.3, -0.05, 0.0, 0.01, 0.2])
    triangle = Neurons(damping=0.6).derivative(distance)
    np.testing.assert_allclose(triangle, [0.0, 0.3, 0.6, 0.54, 0.0], atol=1e-15)
    sigmoid = Neurons(surrogate="fast_sigmoid").derivative(distance)
    np.testing.assert_allclose(sigmoid, [1 / 961, 1 / 36, 1.0, 1 / 4, 1 / 441], rtol=1e-12)
    assert small().neurons.surrogate == "triangle"
    bptt = eprop(SMALL, hidden=4, slope="bptt", key=jr.key(0))
    assert bptt.neurons.surrogate == "fast_sigmoid"


def test_initial_weights(x64):
    into, recurrent, out = paper_size(0.0)[0].consolidated
    assert into.shape == recurrent.shape == (100, 100) and out.shape == (100, 1)
    for own, gain in ((into, 0.1), (recurrent, 0.01), (out, 0.1)):
        tolerance = 4 / np.sqrt(2 * own.size)
        assert np.std(own) == pytest.approx(gain * np.sqrt(2 / 100), rel=tolerance)


@eqx.filter_jit
def learned(learner, fast, batch):
    return learner.learn_slope(fast, batch, key=jr.key(0))


@pytest.mark.parametrize("form", ["eprop", "eprop_online"])
def test_one_example_and_a_silent_network(x64, form):
    learner, batch = small(slope=form, activity=0.1), spikes(1, 6, 5)
    fast = moved(learner.consolidated, 0.1)
    slope = learned(learner, fast, batch)
    assert [w.shape for w in slope] == [(5, 4), (4, 4), (4, 1)]
    assert all(np.isfinite(w).all() and np.abs(w).max() > 0 for w in slope)
    # Inputs too weak to make a spike: the input synapses are still taught, to make one.
    weak = moved(learner.consolidated, 0.0)._replace(into=jnp.asarray(np.full((5, 4), 0.002)))
    assert plain_run(weak, batch.x)[0].sum() == 0
    quiet = dataclasses.replace(learner, consolidated=weak)
    slope = learned(quiet, weak, batch)
    assert np.abs(slope.recurrent).max() == 0 == np.abs(slope.out).max()
    assert np.isfinite(slope.into).all() and np.abs(slope.into).max() > 0
    # Without inputs nothing is taught.
    slope = learned(quiet, weak, Batch(0 * batch.x, batch.y))
    assert all(np.abs(w).max() == 0 for w in slope)


@eqx.filter_jit
def nudged(learner, fast, batch):
    """The slope of the augmented loss, plain and with factors; what meta-learning descends."""
    scaled = dataclasses.replace(learner, factors=(1.0, 2.0, 0.1))
    loss = eqx.filter_grad(lambda own: own.augmented_loss(fast, batch, batch, 0.7))
    slopes = (
        own.augmented_slope(fast, batch, batch, 0.7, key=jr.key(0)) for own in (learner, scaled)
    )
    return *slopes, loss(learner)


def test_factors_multiply_all_that_synapses_descend_and_meta_learning_descends_the_attraction(x64):
    """dL/domega = -lambda (phi - omega), and no other array is learned."""
    learner, batch = small(), spikes(3, 6, 5)
    fast = moved(learner.consolidated, 0.1)
    plain, scaled, found = nudged(learner, fast, batch)
    for factor, a, b in zip((1.0, 2.0, 0.1), plain, scaled, strict=True):
        assert np.abs(a).max() > 0
        np.testing.assert_allclose(b, factor * a, rtol=1e-12)
    assert len(jax.tree.leaves(eqx.filter(found, eqx.is_inexact_array))) == 3
    for own, phi, omega in zip(found.consolidated, fast, learner.consolidated, strict=True):
        np.testing.assert_allclose(own, -0.3 * (phi - omega), rtol=1e-12)


def test_a_lifetime_settles_and_the_contrast_reaches_the_consolidated_weights(x64):
    learner = small(solver=Solver(steps=100), rate=0.03, strength=2e-4)
    own = spikes(3, 6, 5)
    # Asked for what it was told, so that the loss at the end is that of settling.
    stream = Stream(own.x[None, None], own.y[None, None], None, None)
    episodes = Episode(stream, Query(own.x[None], own.y[None]), SMALL.criterion)
    estimator = Contrastive(beta=0.1, steps=100, measure=False)
    gradient, aux = eqx.filter_jit(estimator)(learner, episodes, key=jr.key(0))
    before = np.square(plain_run(learner.consolidated, own.x)[2].mean(0) - own.y).mean()
    assert float(aux.loss[0]) < 0.5 * before
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hidden": 0}, "--learner.hidden 0"),
        ({"membrane": 0.0}, "--learner.membrane 0.0"),
        ({"threshold": -1.0}, "--learner.threshold -1.0"),
        ({"strength": -0.1}, "--learner.strength -0.1"),
        ({"activity": -0.1}, "--learner.activity -0.1"),
        ({"factors": (1.0, 0.0, 1.0)}, "--learner.factors 1.0 0.0 1.0"),
        ({"optimiser": "bfgs"}, "--learner.optimiser bfgs"),
        ({"duration": 1}, "--learner.duration"),
    ],
)
def test_impossible_options(options, told, getkey):
    with pytest.raises(UsageError, match=told):
        eprop(Sinusoid(), **options, key=getkey())
    with pytest.raises(UsageError, match="the task's duration"):
        eprop(SpikingSinusoid(duration=1), key=getkey())


def adapted(learner, episodes):
    """Mean squared error of the answers after settling."""
    lives = jax.vmap(lambda own: live(learner, own, key=jr.key(0)).metric)
    return lives(episodes).mean()


@pytest.mark.slow
def test_the_contrast_of_lifetimes_by_eprop_meta_learns():
    learner = eprop(TASK, steps=50, rate=3e-3, activity=1e-5, key=jr.key(0))
    estimator = Contrastive(beta=3.0, steps=20, rate=3e-3, measure=False)
    adam = optax.adam(3e-3)

    @eqx.filter_jit
    def meta_step(learner, state, key):
        sample_key, key = jr.split(key)
        episodes = jax.vmap(TASK.sample)(jr.split(sample_key, 8))
        gradient, _ = estimator(learner, episodes, key=key)
        with jax.numpy_dtype_promotion("standard"):
            changes, state = adam.update(gradient, state)
        return eqx.apply_updates(learner, changes), state

    judged = eqx.filter_jit(adapted)
    new = jax.jit(jax.vmap(TASK.sample))(jr.split(jr.key(1), 40))
    before = float(judged(learner, new))
    state = adam.init(eqx.filter(learner, eqx.is_inexact_array))
    for step in range(50):
        learner, state = meta_step(learner, state, jr.fold_in(jr.key(2), step))
    assert float(judged(learner, new)) < 0.6 * before
