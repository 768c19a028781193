"""Persistent evolution strategies: unbiased segment by segment, lives and sums that go on."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import assert_close
from toy_lifetimes import compiled, episodes, flat, leaky

from metaplastic._errors import UsageError
from metaplastic.meta.evolution import Evolution, draw
from metaplastic.meta.persistent import Persistent
from metaplastic.meta.truncated import Truncated
from metaplastic.meta.unrolled import Unrolled

SIZE = 3


def judged(getkey, *, lives=2, moments=4):
    """Lifetimes that are judged at every moment and the end."""
    x = jr.normal(getkey(), (lives, moments, SIZE))
    return episodes(x, target=jnp.roll(x, 1, 1), asked=0.3 * x[:, 0])


def everything(learner):
    return jax.tree.map(lambda _: True, learner)


def parts(estimator, learner, batch, key, *, rate=0.0):
    """One lifetime, a meta-step a segment, of a learner that descends at a rate: gradients
    [segments, ...], learners and what is carried, after each."""
    where = everything(learner)

    def turn(carried, index):
        own, lives = carried
        found = estimator.go_on(own, lives, batch, index, key=key, where=where)
        own = jax.tree.map(lambda w, g: w - rate * g, own, found.gradient)
        return (own, found.lives), (found.gradient, own, found.lives, found.aux)

    lives = estimator.begin(learner, batch, key=key, where=where)
    turns = jnp.arange(estimator.turns(batch.stream.x.shape[1]), dtype=jnp.int32)
    return jax.lax.scan(turn, (learner, lives), turns)[1]


# Exact


@pytest.mark.parametrize("segment", [4, pytest.param(9, marks=pytest.mark.slow)])
def test_a_segment_as_long_as_the_lifetime_is_evolution(x64, getkey, segment):
    batch, key = judged(getkey), getkey()
    expected, _ = compiled(Evolution(population=6))(leaky(size=SIZE), batch, key=key)
    estimator = Persistent(population=6, segment=segment)
    gradient = compiled(parts)(estimator, leaky(size=SIZE), batch, key)[0]
    assert_close(jax.tree.map(lambda leaf: leaf[0], gradient), expected, 1e-9)
    assert_close(compiled(estimator)(leaky(size=SIZE), batch, key=key)[0], expected, 0.0)


@pytest.mark.parametrize(
    ("segment", "at_once"), [(1, None), pytest.param(2, None, marks=pytest.mark.slow), (2, 1)]
)
def test_while_nothing_moves_its_parts_are_those_of_evolution(x64, getkey, segment, at_once):
    """The sum over a lifetime's meta-steps is the estimate of its segments with the same draws."""
    batch, key = judged(getkey), getkey()
    options = {"population": 6, "segment": segment, "sigma": 0.1, "at_once": at_once}
    expected, _ = compiled(Evolution(**options))(leaky(size=SIZE), batch, key=key)
    gradients = compiled(parts)(Persistent(**options), leaky(size=SIZE), batch, key)[0]
    assert_close(jax.tree.map(lambda leaf: leaf.sum(0), gradients), expected, 1e-10)


def test_shares_of_segments_sum_to_loss_and_metric(x64, getkey):
    """A tiny sigma leaves the learner itself; before a segment is lived, its share is known."""
    learner, key = leaky(size=SIZE), getkey()
    for moments, asked in ((5, True), (4, False)):
        batch = judged(getkey, moments=moments)
        weight = jnp.arange(moments, dtype=float) * jnp.ones((2, 1))  # the first has none
        batch = eqx.tree_at(lambda own: own.stream.weight, batch, weight)
        batch = batch if asked else dataclasses.replace(batch, query=None)
        expected = compiled(Unrolled())(learner, batch, key=key)[1]
        for segment in (2,) if asked else (1,):
            estimator = Persistent(sigma=1e-9, population=2, segment=segment)
            aux = compiled(parts)(estimator, learner, batch, key)[3]
            for turn in range(estimator.turns(moments)):
                np.testing.assert_allclose(aux.loss[turn], expected.loss, rtol=1e-6)
                np.testing.assert_allclose(aux.metric[turn], expected.metric, rtol=1e-6)


# Unbiased


def test_parts_are_unbiased_where_truncation_is_not(x64, getkey):
    """Segments of 2 of 5 moments, the last one of 1; the error falls as 1/sqrt(N)."""
    learner, batch = leaky(size=SIZE), judged(getkey, lives=1, moments=5)
    estimator, keys = Persistent(sigma=1e-3, population=64, segment=2), jr.split(getkey(), 256)
    exact = flat(compiled(Unrolled())(learner, batch, key=keys[0])[0])

    def one(key):
        return flat(
            jax.tree.map(lambda leaf: leaf.sum(0), parts(estimator, learner, batch, key)[0])
        )

    found = compiled(jax.vmap(one))(keys)
    standard_error = found.std(0) / np.sqrt(len(found))
    assert bool((jnp.abs(found.mean(0) - exact) < 4.5 * standard_error).all())
    few = found.reshape(16, 16, -1).mean(1)  # of 16 estimates each
    ratio = float(jnp.square(few - exact).mean() / jnp.square(found - exact).mean())
    assert 1 / 16 / 1.6 < ratio < 1.6 / 16
    cut = Truncated(steps=2, initial="cut")
    bias = jnp.abs(flat(compiled(cut)(learner, batch, key=keys[0])[0]) - exact)
    assert float(bias.max()) > 10 * float(standard_error.max())


# What goes on


def by_hand(learner, batch, key, *, segment, sigma, pairs, rate):
    """Gradient, fast states and sums of every segment, with NumPy; arrays are [3, size] for start,
    decay and gain."""
    x, target, asked = batch.stream.x[:, :, 0], batch.stream.target[:, :, 0], batch.query.y[:, 0]
    lives, moments = x.shape[:2]
    noise = [jr.split(own, pairs) for own in jr.split(jr.fold_in(key, lives), lives)]
    theta = np.stack([np.asarray(own) for own in (learner.start, learner.decay, learner.gain)])
    sums, fast = np.zeros((lives, pairs, 3, SIZE)), np.zeros((lives, pairs, 2, SIZE))
    history = []
    for turn, first in enumerate(range(0, moments, segment)):
        gradient = np.zeros_like(theta)
        for b, i in np.ndindex(lives, pairs):
            drawn = draw(learner, key=jr.fold_in(noise[b][i], turn))
            e = np.stack([np.asarray(own) for own in (drawn.start, drawn.decay, drawn.gain)])
            sums[b, i] += e
            losses = []
            for side, sign in enumerate((1, -1)):
                start, decay, gain = theta + sign * sigma * e
                own, loss = fast[b, i, side] if turn else start, 0.0
                for t in range(first, min(first + segment, moments)):
                    loss += np.sum((own - target[b, t]) ** 2)
                    own = decay * own + gain * x[b, t]
                if first + segment >= moments:
                    loss += np.sum((own - asked[b]) ** 2)
                fast[b, i, side] = own
                losses.append(loss)
            gradient += (losses[0] - losses[1]) / (2 * sigma) * sums[b, i] / (lives * pairs)
        theta = theta - rate * gradient
        history.append((gradient, theta, fast.copy(), sums.copy()))
    return history


def stacked(tree):
    return np.stack([np.asarray(own) for own in (tree.start, tree.decay, tree.gain)])


def test_lives_and_sums_go_on_while_theta_moves(x64, getkey):
    learner, batch, key = leaky(size=SIZE), judged(getkey, moments=5), getkey()
    estimator = Persistent(sigma=0.1, population=4, segment=2)
    gradients, learners, lives, _ = compiled(parts)(estimator, learner, batch, key, rate=0.05)
    options = {"segment": 2, "sigma": 0.1, "pairs": 2, "rate": 0.05}
    for turn, (gradient, theta, fast, sums) in enumerate(by_hand(learner, batch, key, **options)):
        own = jax.tree.map(lambda leaf, i=turn: leaf[i], (gradients, learners, lives))
        np.testing.assert_allclose(stacked(own[0]), gradient, rtol=1e-9)
        np.testing.assert_allclose(stacked(own[1]), theta, rtol=1e-9)
        np.testing.assert_allclose(own[2].fast, fast, rtol=1e-9)
        np.testing.assert_allclose(np.moveaxis(stacked(own[2].sums), 0, 2), sums, rtol=1e-9)
        assert bool((own[2].unborn == (turn == 2)).all())


def test_the_next_lifetime_begins_anew(x64, getkey):
    """What is left of one lifetime has no part in the gradient of the next."""
    learner, first, second = leaky(size=SIZE), judged(getkey), judged(getkey)
    estimator, where = Persistent(population=4, segment=2), everything(learner)
    went_on = jax.tree.map(lambda leaf: leaf[-1], parts(estimator, learner, first, getkey())[2])
    key, turn = getkey(), jnp.int32(0)
    fresh = estimator.begin(learner, second, key=key, where=where)
    found = [
        estimator.go_on(learner, lives, second, turn, key=key, where=where)
        for lives in (went_on, fresh)
    ]
    assert_close(found[0].gradient, found[1].gradient, 0.0)
    assert_close(found[0].lives.fast, found[1].lives.fast, 0.0)


def test_a_pair_that_is_lost_is_born_again(x64, getkey):
    learner, batch, key = leaky(size=SIZE), judged(getkey), getkey()
    estimator, where = Persistent(population=4, segment=2), everything(learner)
    lives = estimator.begin(learner, batch, key=key, where=where)
    lives = dataclasses.replace(
        lives, fast=lives.fast.at[0, 1, 0].set(jnp.inf), unborn=jnp.zeros((2, 2), bool)
    )
    lost = estimator.go_on(learner, lives, batch, jnp.int32(0), key=key, where=where)
    assert not bool(jnp.isfinite(flat(lost.gradient)).any())
    assert lost.lives.unborn.tolist() == [[False, True], [False, False]]
    assert bool(jnp.isfinite(lost.aux.loss).all())  # what was lived last stands for it
    found = estimator.go_on(learner, lost.lives, batch, jnp.int32(1), key=key, where=where)
    assert bool(jnp.isfinite(flat((found.gradient, found.lives.fast))).all())


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_have_the_types_of_the_arrays(getkey, dtype):
    learner = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), leaky(size=SIZE))
    gain = learner.gain.astype(dtype)

    class Mixed(type(learner)):
        def step(self, life, x, y, *, key):
            return self.decay * life + self.gain.astype(jnp.float32) * x[0], life[None]

    learner = Mixed(learner.start, learner.decay, gain)
    found = eqx.filter_eval_shape(
        parts, Persistent(population=2, segment=2), learner, judged(getkey), getkey()
    )
    assert [leaf.dtype for leaf in jax.tree.leaves(found[0])] == [*2 * [jnp.float32], dtype]


# Advice


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sigma": 0.0}, "--estimator.sigma 0.0: it must be positive"),
        ({"population": 7}, "--estimator.population 7: .* even number"),
        ({"segment": 0}, "--estimator.segment 0: at least 1"),
        ({"population": 8, "at_once": 3}, "--estimator.at-once 3: it must divide the 4 pairs"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        Persistent(**options)
