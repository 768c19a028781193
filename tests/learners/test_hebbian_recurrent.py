"""The plastic recurrent network against its equations in NumPy, its derivatives, its options."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import spread
from jax.flatten_util import ravel_pytree

from metaplastic._errors import UsageError
from metaplastic.learners.hebbian_recurrent import hebbian_recurrent
from metaplastic.learners.lifetime import lifetime, live
from metaplastic.tasks.binary_patterns import BinaryPatterns
from metaplastic.tasks.sinusoid import Sinusoid

TASK = BinaryPatterns(bits=4, patterns=2, on=2, off=1)
# Weights and traces so large, and inputs so small, that every term is seen.
LARGE = {"scale": 0.4, "input_scale": 1.3, "eta": 0.3, "bound": 0.4, "hidden": 2}
VARIANTS = [
    {"trace": "exponential"},
    {"trace": "oja"},
    {"trace": "clipped"},
    {"granularity": "neuron"},
    {"granularity": "global", "trace": "oja"},
    {"modulation": "simple"},
    {"modulation": "spread"},
    {"modulation": "retroactive"},
    {"modulation": "retroactive_spread"},
    {"entry": "clamp"},
    {"plastic": False},
    {"answer": "dense", "bias": False},
]


def _names(options):
    return "-".join(map(str, options.values()))


class Written:
    """The equations of a network as loops over its moments, from the learner's arrays."""

    def __init__(self, learner, options):
        self.options = {"trace": "exponential", "modulation": "none", "entry": "drive", **options}
        self.w = np.array(learner.weight)
        self.n, own = len(self.w), learner.plasticity
        self.alpha = 0.0 if own is None else np.array(own.alpha)
        self.eta = 0.0 if own is None else float(own.eta)
        self.modulator = None if own is None else own.modulator
        self.readout = learner.readout
        self.y, self.h, self.e = np.zeros(self.n), np.zeros((self.n, self.n)), 0.0

    def step(self, x):
        bias = [] if self.options.get("bias") is False else [1.0]
        u = np.concatenate([x, np.zeros(self.n - len(x) - len(bias)), bias])
        received = self.y @ (self.w + self.alpha * self.h)
        if self.options["entry"] == "clamp":
            y = np.array([a if a != 0 else np.tanh(b) for a, b in zip(u, received, strict=True)])
        else:
            y = np.tanh(received + LARGE["input_scale"] * u)
        self.change(np.outer(self.y, y), y)
        self.y = y
        if self.readout is not None:
            return y @ np.array(self.readout.weight) + np.array(self.readout.bias)
        return y[: len(x)]

    def change(self, product, y):
        eta, bound = self.eta, LARGE["bound"]
        if self.modulator is not None:
            m = self.modulator
            signal = np.tanh(np.dot(y, np.array(m.readout)) + float(m.bias))
            if m.spread is not None:
                signal = signal * np.array(m.spread) + np.array(m.spread_bias)  # one a column
            if self.options["modulation"] in ("simple", "spread"):
                self.h = np.clip(self.h + signal * product, -bound, bound)
            else:
                self.h = np.clip(self.h + signal * self.e, -bound, bound)  # E of before
                self.e = (1 - eta) * self.e + eta * product
        elif self.options["trace"] == "oja":
            self.h = self.h + eta * (product - self.h * y[None, :] ** 2)
        elif self.options["trace"] == "clipped":
            self.h = np.clip(self.h + eta * product, -bound, bound)
        else:
            self.h = (1 - eta) * self.h + eta * product


@pytest.mark.parametrize("options", VARIANTS, ids=_names)
def test_a_lifetime_is_the_equations(options, x64, getkey):
    learner = hebbian_recurrent(TASK, **{**LARGE, **options}, key=getkey())
    episode = TASK.sample(getkey())
    lived = jax.jit(lambda key: lifetime(learner, episode, key=key))(getkey())
    written = Written(learner, options)
    expected = [written.step(x) for x in np.array(episode.stream.x[:, 0])]
    np.testing.assert_allclose(lived.outputs[:, 0], expected, rtol=1e-10, atol=1e-12)
    if learner.plasticity is None:
        assert lived.life.traces is None
        return
    np.testing.assert_allclose(lived.life.traces.trace, written.h, rtol=1e-10, atol=1e-12)
    assert np.abs(written.h).max() > 0.05
    if learner.plasticity.modulation.startswith("retroactive"):
        np.testing.assert_allclose(lived.life.traces.eligibility, written.e, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "options", spread([own for own in VARIANTS if own != {"trace": "clipped"}], 4), ids=_names
)
def test_derivatives_are_those_of_finite_differences(options, x64, getkey):
    # A bound that is never reached: finite differences would step across its kink.
    learner = hebbian_recurrent(TASK, **{**LARGE, "bound": 50.0, **options}, key=getkey())
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


def test_a_clamp_holds_inputs_and_frees_what_is_zero(getkey):
    learner = hebbian_recurrent(TASK, entry="clamp", hidden=1, scale=0.5, key=getkey())
    life = learner.birth(key=getkey())
    for x in (jnp.array([[0.3, -0.2, 0.0, 0.9]]), jnp.array([[0.0, 0.5, -1.0, 0.0]])):
        life, output = learner.step(life, x, None, key=getkey())
        given = x[0] != 0
        np.testing.assert_array_equal(output[0][given], x[0][given])
    assert (output[0][jnp.array([0, 3])] != 0).all()  # filled in by the other units
    assert life.activity.shape == (1, 6) and life.activity[0, -1] == 1  # the bias unit


def test_a_large_scale_amounts_to_a_clamp(getkey):
    learner = hebbian_recurrent(TASK, key=getkey())
    x = jnp.array([[1.0, -1.0, 1.0, -1.0]])
    output = learner.step(learner.birth(key=getkey()), x, None, key=getkey())[1]
    np.testing.assert_allclose(output, x, atol=1e-6)


def test_initial_scales_and_shapes(getkey):
    task = BinaryPatterns(bits=60)
    learner = hebbian_recurrent(task, zero_diagonal=True, key=getkey())
    assert learner.weight.shape == (61, 61) and learner.readout is None
    alpha = np.array(learner.plasticity.alpha)
    assert not np.diag(alpha).any()
    for values in (np.array(learner.weight), alpha[~np.eye(61, dtype=bool)]):
        assert abs(values.std() - 0.01) < 0.0005 and abs(values.mean()) < 0.0005
    assert learner.plasticity.eta == jnp.float32(0.01)
    fixed = hebbian_recurrent(task, learn_eta=False, zero_diagonal=False, key=getkey())
    assert fixed.plasticity.eta == 0.01 and np.diag(fixed.plasticity.alpha).all()


def test_without_plasticity_it_is_a_network_with_coefficients_of_zero(getkey):
    key, episode = getkey(), TASK.sample(getkey())
    plastic, plain = (
        hebbian_recurrent(TASK, plastic=own, **LARGE, key=key) for own in (True, False)
    )
    alpha = plastic.plasticity.alpha
    still = eqx.tree_at(lambda own: own.plasticity.alpha, plastic, jnp.zeros_like(alpha))
    loss = eqx.filter_jit(lambda own: live(own, episode, key=key).loss)
    ours, theirs, other = map(loss, (plain, still, plastic))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert abs(other - ours) > 1e-4


def test_answering_changes_nothing_and_is_the_next_moment(getkey):
    learner = hebbian_recurrent(TASK, **LARGE, key=getkey())
    life = learner.birth(key=getkey())
    life, _ = learner.step(life, jnp.ones((1, 4)), None, key=getkey())
    x = jnp.array([[1.0, 0.0, 0.0, -1.0], [0.0, 1.0, 0.0, 0.0]])
    answers = learner.predict(life, x)
    for one, answer in zip(x, answers, strict=True):
        output = learner.step(life, one[None], None, key=getkey())[1]
        np.testing.assert_allclose(output[0], answer, rtol=1e-5)


def test_what_is_told_is_part_of_the_input(getkey):
    task = Sinusoid(shots=1, moments=3)
    learner = hebbian_recurrent(task, hidden=3, scale=0.5, key=getkey())
    assert learner.weight.shape == (6, 6)  # x, y, three hidden units, the bias
    assert learner.readout.weight.shape == (6, 1)
    life, x = learner.birth(key=getkey()), jnp.ones((1, 1))
    outputs = [
        learner.step(life, x, y, key=getkey())[1]
        for y in (None, jnp.zeros((1, 1)), jnp.ones((1, 1)))
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert abs(outputs[2] - outputs[1]).max() > 1e-3
    assert jnp.isfinite(live(learner, task.sample(getkey()), key=getkey()).loss)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"hidden": -1}, "hidden -1"),
        ({"input_scale": 0.0}, "must be positive"),
        ({"scale": -1.0}, "must not be negative"),
        ({"zero_diagonal": True, "granularity": "neuron"}, "no diagonal"),
    ],
)
def test_impossible_networks_are_one_sentence(options, words, getkey):
    with pytest.raises(UsageError, match=words):
        hebbian_recurrent(TASK, **options, key=getkey())


def test_tasks_that_do_not_fit_are_one_sentence(getkey):
    several = Sinusoid(shots=5)
    learner = hebbian_recurrent(several, key=getkey())
    with pytest.raises(UsageError, match="one example a moment, not 5"):
        live(learner, several.sample(getkey()), key=getkey())


@pytest.mark.parametrize("modulation, late", [("simple", 0), ("retroactive", 1)])
def test_a_signal_decides_what_is_stored(modulation, late, getkey):
    """Of two patterns only that with the flag is kept; retroactively, the flag comes after it."""
    task = BinaryPatterns(bits=5)  # the last input is the flag
    options = {"modulation": modulation, "eta": 1.0, "scale": 0.0, "bias": False}
    learner = hebbian_recurrent(task, **options, key=getkey())
    listens = (jnp.array([0.0, 0.0, 0.0, 0.0, 50.0]), jnp.array(0.0))
    learner = eqx.tree_at(
        lambda own: (own.plasticity.modulator.readout, own.plasticity.modulator.bias),
        learner,
        listens,
    )
    forgotten, kept = jnp.array([[1.0, 1.0, -1.0, -1.0, 0.0], [1.0, -1.0, 1.0, -1.0, 0.0]])
    flag = jnp.array([0.0, 0.0, 0.0, 0.0, 1.0])
    nothing = jnp.zeros(5)

    def stored(patterns, flagged):
        moments = [own for pattern in patterns for own in (pattern, pattern, nothing)]
        moments[flagged + late] = moments[flagged + late] + flag
        life = learner.birth(key=getkey())
        for x in moments:
            life, _ = learner.step(life, x[None], None, key=getkey())
        return life.traces.trace[:4, :4]

    expected = jnp.outer(kept, kept)[:4, :4]
    np.testing.assert_allclose(stored((forgotten, kept), flagged=4), expected, atol=1e-6)
    np.testing.assert_allclose(stored((kept, forgotten), flagged=1), expected, atol=1e-6)
