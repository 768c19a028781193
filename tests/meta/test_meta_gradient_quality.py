"""Meta-gradients of networks against the exact one, by a dense solve where the phase settled."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from settling import Points, at_beta, cosine, fields, first, relative, with_solver
from toy_lifetimes import compiled

from metaplastic.learners.complex_synapse import complex_synapse
from metaplastic.learners.solver import Batch
from metaplastic.learners.weight_decay import WeightDecay, weight_decay
from metaplastic.meta.contrastive import Contrastive
from metaplastic.meta.implicit import Implicit
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.criteria import CLASSIFICATION
from metaplastic.tasks.sinusoid import Sinusoid
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer

pytestmark = pytest.mark.slow

KEY = jr.key(3)


class Regularised:
    """Decay strengths of 10-16-3 tanh units, 120 examples to settle on and 120 to be judged by."""

    def __init__(self):
        task = Points(CLASSIFICATION, inputs=10, number=3, examples=120, noise=1.0)
        self.learner = weight_decay(
            task,
            rule=Backprop(),
            hidden=(16,),
            activation="tanh",
            strength=3e-3,
            convention="sum",
            log=False,
            optimiser="nesterov",
            rate=0.3,
            steps=5000,
            newton=8,
            key=jr.key(0),
        )
        self.episodes = jax.jit(jax.vmap(task.sample))(jr.split(jr.key(1), 1))
        stream, query = first(self.episodes).stream, first(self.episodes).query
        self.support, self.query = Batch(stream.x[0], stream.y[0]), Batch(query.x, query.y)
        start = self.learner.start(key=KEY)
        self.free = eqx.filter_jit(self.learner.settle)(start, self.support, key=KEY)
        self.exact = self.gradient(Implicit("exact"), self.settled())

    def settled(self, *options, **named) -> WeightDecay:
        """The learner whose lifetimes start at the minimum; a solver that stays there."""
        network = eqx.combine(self.free, self.learner.network)
        learner = dataclasses.replace(self.learner, build=lambda key: network)
        if not options and not named:
            return with_solver(learner, "sgd", 1, rate=1e-9)
        return with_solver(learner, *options, **named)

    def gradient(self, estimator, learner):
        return compiled(estimator)(learner, self.episodes, key=KEY)[0]


@pytest.fixture(scope="module")
def regularised():
    with jax.enable_x64(True):
        yield Regularised()


def test_exact_phases(x64, regularised):
    assert sum(leaf.size for leaf in jax.tree.leaves(regularised.free)) == 227
    learner = regularised.settled("sgd", 0, newton=3)

    def agreement(beta):
        found = at_beta(beta, contrast=contrast, steps=0)
        gradient = found(learner, regularised.episodes, key=KEY)[0]
        return cosine(gradient, regularised.exact), relative(gradient, regularised.exact)

    least = {"one_sided": 0.999, "symmetric": 0.9999}
    for contrast in least:
        each = compiled(partial(jax.lax.map, agreement))
        cosines, errors = each(jnp.array([1e-3, 1e-4]))
        assert cosines[0] >= least[contrast]
        order = jnp.log10(errors[0] / errors[1])
        assert order == pytest.approx(1 if contrast == "one_sided" else 2, abs=0.1)


def test_ladder_of_implicit_methods(x64, regularised):
    learner = regularised.settled()
    found = {
        "t1t2": Implicit("t1t2"),
        "neumann": Implicit("neumann", 50, 1.9),
        "cg": Implicit("cg", 50),
    }
    agree = {
        name: cosine(regularised.gradient(own, learner), regularised.exact)
        for name, own in found.items()
    }
    assert 0 < agree["t1t2"] < 0.5 < agree["neumann"] < 0.9 and agree["cg"] > 0.9999


@pytest.mark.parametrize("terms", [1, 10, 50, 200])
def test_nudged_steps_of_descent_are_terms_of_the_neumann_series(x64, regularised, terms):
    rate = 1.0
    contrastive = Contrastive(beta=1e-4, optimiser="sgd", steps=terms, rate=rate, measure=False)
    neumann = Implicit("neumann", terms, rate)
    learner = regularised.settled()
    a, b = (regularised.gradient(own, learner) for own in (contrastive, neumann))
    assert relative(a, b) < 1e-5
    # It is a truncation: few terms are not the gradient.
    assert terms == 200 or cosine(a, regularised.exact) < 0.95


class NoNegativeNudge(WeightDecay):
    """The defect of leaving the evaluation loss out where beta is negative."""

    def augmented_slope(self, fast, support, query=None, beta=0.0, *, key):
        return super().augmented_slope(fast, support, query, jnp.maximum(beta, 0.0), key=key)


@pytest.mark.parametrize("beta", [0.01, 0.001])
def test_opposite_nudges_move_opposite_ways(x64, regularised, beta):
    estimator = Contrastive(beta=beta, optimiser="nesterov", steps=100, rate=0.1)

    def opposition(learner):
        aux = compiled(estimator)(learner, regularised.episodes, key=KEY)[1]
        return aux.quality["opposition"][0]

    learner = regularised.settled()
    assert opposition(learner) < -0.95
    assert opposition(NoNegativeNudge(**fields(learner))) > -0.95
    # Where the free phase has not settled, both go on with it.
    early = with_solver(regularised.learner, "nesterov", 300, rate=0.1)
    assert opposition(early) > 0.5


def test_common_batches_cancel_most_of_their_noise(x64, regularised):
    """Batches of 30 of the 120 examples, from where such batches take the weights."""
    learner = regularised.settled("nesterov", 1000, batch=30, rate=0.02)

    def agreement(independent):
        estimator = Contrastive(beta=0.01, steps=300, independent=independent, measure=False)

        def one(key):
            gradient = estimator(learner, regularised.episodes, key=key)[0]
            return cosine(gradient, regularised.exact)

        return jax.jit(jax.vmap(one))(jr.split(KEY, 10)).mean()

    common, independent = agreement(False), agreement(True)
    assert common > independent + 0.1, (common, independent)


def sinusoid_gradients(estimators):
    """Of each of 8 curves, [8, ...]: omega of 1-20-20-1 units, drawn to with strength 1."""
    task = Sinusoid()
    learner = complex_synapse(
        task,
        rule=Backprop(),
        hidden=(20, 20),
        activation="tanh",
        strength=1.0,
        optimiser="nesterov",
        rate=3e-3,
        steps=500,
        key=jr.key(0),
    )
    episodes = jax.jit(jax.vmap(task.sample))(jr.split(jr.key(1), 8))
    found = {}
    for name, estimator in estimators.items():

        def one(episode, estimator=estimator):
            alone = jax.tree.map(lambda leaf: leaf[None], episode)
            return estimator(learner, alone, key=KEY)[0]

        found[name] = eqx.filter_jit(jax.vmap(one))(episodes)
    return found


def test_few_points_of_a_curve(x64):
    found = sinusoid_gradients(
        {
            "exact": Implicit("exact"),
            "symmetric": Contrastive(beta=0.01, steps=250),
            "one_sided": Contrastive(beta=0.01, steps=250, contrast="one_sided"),
            "t1t2": Implicit("t1t2"),
        }
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(found["exact"])) == 8 * 481
    exact = found.pop("exact")
    median = {name: float(np.median(jax.vmap(cosine)(own, exact))) for name, own in found.items()}
    assert median["symmetric"] >= 0.99
    assert median["symmetric"] > median["one_sided"] > median["t1t2"] > 0


def test_meta_learning_lowers_the_loss_of_new_curves():
    """Of 1-40-40-1 units, drawn to omega strongly enough that the phases settle."""
    task = Sinusoid()

    def build(key):
        return complex_synapse(
            task,
            rule=Backprop(),
            hidden=(40, 40),
            activation="tanh",
            strength=1.0,
            optimiser="nesterov",
            rate=3e-3,
            steps=500,
            key=key,
        )

    options = MetaOptions(steps=80, meta_batch=25, lr=5e-3)
    own = MetaTrainer(build, task, Contrastive(beta=0.1, steps=250, measure=False), options)
    state = own.initial([0])
    before = own.test(state, 200).loss.mean()
    after = own.test(own.chunk(state, 0, length=80)[0], 200).loss.mean()
    assert after < 0.9 * before, (before, after)


class OneProblem(Points):
    """The same examples in every lifetime."""

    def sample(self, key):
        return super().sample(jr.key(1))


def test_descent_by_contrasts_ends_where_that_by_exact_gradients_does(x64):
    """Log strengths of 227 weights: 20 steps of Adam on what is lost on the other examples.

    Phases start at a minimum, and strengths are such that none vanishes on the way.
    """
    task = OneProblem(CLASSIFICATION, inputs=10, number=3, examples=120, noise=1.0)
    network = {"hidden": (16,), "activation": "tanh", "strength": 0.02, "convention": "sum"}
    phase = {"optimiser": "nesterov", "rate": 0.3, "steps": 4000}
    learner = weight_decay(task, rule=Backprop(), **network, **phase, key=jr.key(0))
    stream = task.sample(KEY).stream
    support = Batch(stream.x[0], stream.y[0])
    free = eqx.filter_jit(learner.settle)(learner.start(key=KEY), support, key=KEY)
    start = eqx.combine(free, learner.network)
    learner = dataclasses.replace(learner, build=lambda key: start)
    learner = with_solver(learner, "nesterov", 1000)

    def losses(estimator):
        options = MetaOptions(steps=20, meta_batch=1, lr=0.03)
        trainer = MetaTrainer(lambda key: learner, task, estimator, options)
        return trainer.chunk(trainer.initial([0]), 0, length=20)[1].loss[0]

    contrast = losses(Contrastive(beta=1e-3, steps=1000, measure=False))
    exact = losses(Implicit("exact"))
    assert exact[-1] < 0.93 * exact[0]
    assert abs(contrast[-1] / exact[-1] - 1) < 0.02, (contrast, exact)
