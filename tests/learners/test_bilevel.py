"""Lifetimes that settle, as learners: the steps of a phase, and what estimators make of them."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from helpers import assert_close
from settling import Points, Quadratic, first, with_solver
from toy_lifetimes import compiled, flat

from metaplastic._errors import UsageError
from metaplastic.learners.bilevel import BilevelLife
from metaplastic.learners.complex_synapse import complex_synapse
from metaplastic.learners.lifetime import lifetime
from metaplastic.meta.contrastive import Contrastive
from metaplastic.meta.first_order import FirstOrder
from metaplastic.meta.implicit import Implicit
from metaplastic.meta.reptile import Reptile
from metaplastic.meta.truncated import Truncated
from metaplastic.meta.unrolled import Unrolled
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.tasks.sinusoid import Sinusoid

RATE = 0.1


@pytest.fixture(scope="module")
def small():
    """A network of 3-4-2 units with learned strengths, three steps of descent; one lifetime."""

    def both(key):
        task = Points()
        learner = complex_synapse(
            task,
            rule=Backprop(),
            hidden=(4,),
            activation="tanh",
            strength=0.3,
            strengths="tensor",
            log=False,
            optimiser="sgd",
            rate=RATE,
            steps=3,
            key=key,
        )
        return learner, jax.vmap(task.sample)(key[None])

    with jax.enable_x64(True):
        yield compiled(both)(jr.key(0))


def by_hand(theta, episode):
    """phi after three steps, and the loss of the questions."""
    omega, strength = theta

    def mean_squared_error(phi, x, y):
        w1, b1, w2, b2 = phi
        return jnp.mean((jnp.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2)

    def learn_loss(phi):
        drawn = [
            s / 2 * jnp.sum((p - o) ** 2) for s, p, o in zip(strength, phi, omega, strict=True)
        ]
        return mean_squared_error(phi, episode.stream.x[0], episode.stream.y[0]) + sum(drawn)

    phi = omega
    for _ in range(3):
        phi = [p - RATE * g for p, g in zip(phi, jax.grad(learn_loss)(phi), strict=True)]
    return mean_squared_error(phi, episode.query.x, episode.query.y), phi


def test_estimators_see_the_steps_of_the_solver(x64, small):
    """Unrolled and its relatives against derivatives of the steps written out."""
    learner, batch = small
    omega, strength = map(jax.tree.leaves, (learner.consolidated, learner.strength))

    def everything(theta):
        hand, phi = jax.value_and_grad(by_hand, has_aux=True)(theta, first(batch))[::-1]
        estimators = {
            "unrolled": Unrolled(),
            "whole part": Truncated(steps=3),
            "part": Truncated(steps=2),
            "first_order": FirstOrder(),
            "reptile": Reptile(),
        }
        found = {name: own(learner, batch, key=jr.key(1)) for name, own in estimators.items()}
        return hand, phi[1], phi[0], found

    hand, phi, loss, found = compiled(everything)((omega, strength))
    gradient = {name: own[0] for name, own in found.items()}
    for name in ("unrolled", "whole part"):
        assert_close(jax.tree.leaves(gradient[name].consolidated), hand[0], 1e-12)
        assert_close(jax.tree.leaves(gradient[name].strength), hand[1], 1e-12)
        assert found[name][1].loss[0] == pytest.approx(float(loss), rel=1e-13)
    assert jnp.abs(flat(gradient["part"]) - flat(gradient["unrolled"])).max() > 1e-4
    away = jax.tree.map(lambda before, after: before - after, omega, phi)
    assert_close(jax.tree.leaves(gradient["reptile"].consolidated), away, 1e-12)
    settled = jax.tree.unflatten(jax.tree.structure(learner.consolidated), phi)
    query = first(batch).query
    at_end = jax.grad(lambda own: jnp.mean((learner.answer(own, query.x) - query.y) ** 2))(settled)
    assert_close(gradient["first_order"].consolidated, at_end, 1e-12)
    assert not flat(gradient["first_order"].strength).any()


def test_a_moment_unfolded_is_that_moment(x64, small):
    """A lifetime by steps of the solver ends as `step` does, optimiser and batches included."""
    learner, batch = small
    learner = with_solver(learner, "adam", 4, batch=2, rate=0.05)
    episode = first(batch)

    def both(key):
        birth_key, step_key = jr.split(key)
        life = learner.birth(key=birth_key)
        own = jr.fold_in(step_key, 0)
        whole = learner.step(life, episode.stream.x[0], episode.stream.y[0], key=own)[0]
        return lifetime(learner, episode, key=key).life, whole, life

    unfolded, whole, born = compiled(both)(jr.key(1))
    assert isinstance(unfolded, BilevelLife)
    assert_close(unfolded, whole, 1e-14)
    assert jnp.abs(flat(born.fast) - flat(whole.fast)).max() > 0.1


def test_what_is_unfolded(small):
    learner, batch = small
    stream = first(batch).stream
    twice = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), stream)

    def moments(learner, stream):
        return len(jax.tree.leaves(learner.unfold(stream, key=jr.key(0))[1])[0])

    assert moments(learner, stream) == 3
    assert moments(learner, twice) == 2
    assert moments(with_solver(learner, "sgd", 3, until=1e-3), stream) == 1
    assert moments(with_solver(learner, "sgd", 3, newton=1), stream) == 1
    assert moments(with_solver(learner, "bfgs", 3), stream) == 1


def test_a_moment_without_targets_changes_nothing(small):
    learner, batch = small
    life = learner.birth(key=jr.key(0))
    after, output = learner.step(life, first(batch).stream.x[0], None, key=jr.key(0))
    assert after is life and output.shape == (6, 2)


def test_a_long_lifetime_unrolled_is_exact(x64):
    """The derivative of gradient descent that has converged is that of the minimum."""
    quadratic = Quadratic(6)
    learner = with_solver(quadratic.learner, "sgd", 300, rate=0.3)
    gradient = compiled(Unrolled())(learner, quadratic.episodes, key=jr.key(0))[0]
    assert quadratic.error(gradient) < 1e-12


def test_unrolled_through_slopes_of_exactly_zero(x64, small):
    """Weights of an input that is always zero have no slope, and the root of 0 no derivative."""
    learner, batch = small
    batch = eqx.tree_at(lambda own: own.stream.x, batch, batch.stream.x.at[..., 0].set(0.0))
    learner = with_solver(learner, "adam", 3, rate=0.05)
    gradient = compiled(Unrolled())(learner, batch, key=jr.key(0))[0]
    assert jnp.isfinite(flat(gradient)).all() and (flat(gradient) != 0).any()


@pytest.mark.parametrize(("optimiser", "until"), [("sgd", 1e-3), ("bfgs", None)])
def test_phases_of_no_fixed_length_are_differentiated_at_their_end_alone(optimiser, until):
    task = Sinusoid(shots=3, queries=2)
    learner = complex_synapse(
        task, rule=Backprop(), hidden=(2,), steps=5, optimiser=optimiser, until=until, key=jr.key(0)
    )
    episodes = jax.vmap(task.sample)(jr.split(jr.key(1), 2))

    def traced(estimator):
        return eqx.filter_eval_shape(estimator, learner, episodes, key=jr.key(2))

    with pytest.raises(UsageError, match=r"--learner.until, bfgs.*use --estimator contrastive"):
        traced(Unrolled())
    for estimator in (Contrastive(), Implicit()):
        gradient, _ = traced(estimator)
        assert len(jax.tree.leaves(gradient)) == 4  # two layers, weights and biases


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_rates_that_settle_nothing_are_refused(small, rate):
    with pytest.raises(
        UsageError, match=rf"--learner\.rate {rate}: it must be positive and finite"
    ):
        dataclasses.replace(small[0], rate=rate)
    # Of a grid over rates the program sees one number or another.
    jax.eval_shape(lambda own: dataclasses.replace(small[0], rate=own).rate, rate)


@pytest.mark.parametrize("options", [{"newton": 2}, {"optimiser": "bfgs"}])
def test_solvers_that_would_not_hear_of_the_rule(options):
    def shape(rule):
        return eqx.filter_eval_shape(
            complex_synapse, Points(), rule=rule, hidden=(3,), key=jr.key(0), **options
        )

    with pytest.raises(UsageError, match="follows the gradient of the loss, and these weights"):
        shape(FeedbackAlignment())
    assert shape(Backprop()).slope_is_gradient
