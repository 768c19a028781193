"""Evolution strategies: unbiased, at the rate of a mean, and loud where a loss is not finite."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import assert_close
from toy_lifetimes import LINEAR, compiled, episodes, flat, leaky

from metaplastic._errors import UsageError
from metaplastic.meta.evolution import Evolution, centred_ranks
from metaplastic.meta.unrolled import Unrolled

SIZE = 5


def only_start(learner):
    """Learn `start` alone, of which all losses here are linear or quadratic functions."""
    nothing = jax.tree.map(lambda _: False, learner)
    return eqx.tree_at(lambda own: own.start, nothing, True)


def judged(getkey, *, lives=1, criterion=None, moments=4):
    """Lifetimes that are judged at every moment and the end."""
    x = jr.normal(getkey(), (lives, moments, SIZE))
    options = {} if criterion is None else {"criterion": criterion}
    return episodes(x, target=jnp.roll(x, 1, 1), asked=0.3 * x[:, 0], **options)


def estimates(estimator, batch, keys, *, where=None):
    """One estimate a key, [keys, parameters], and the exact gradient."""
    learner = leaky(size=SIZE)
    where = only_start(learner) if where is None else where
    one = jax.vmap(lambda key: flat(estimator(learner, batch, key=key, where=where)[0]))
    exact = compiled(Unrolled())(learner, batch, key=keys[0], where=where)[0]
    return compiled(one)(keys), flat(exact)


@pytest.mark.parametrize("criterion", [None, LINEAR], ids=["quadratic", "linear"])
def test_sigma_does_not_matter_where_the_loss_is_quadratic(x64, getkey, criterion):
    """Curvature cancels in an antithetic pair: each is (g . e) e, whatever sigma."""
    batch, keys = judged(getkey, criterion=criterion), jr.split(getkey(), 3)
    small, exact = estimates(Evolution(sigma=1e-3), batch, keys)
    large, _ = estimates(Evolution(sigma=3.0), batch, keys)
    assert_close(large, small, 1e-9)
    assert float(jnp.abs(small - exact).max()) > 0.01  # but it is an estimate


def test_error_falls_as_one_over_the_square_root_of_pairs(x64, getkey):
    """E |estimate - g|^2 = (D + 1) |g|^2 / P for a quadratic loss in D dimensions."""
    batch, keys = judged(getkey), jr.split(getkey(), 300)
    errors, pairs = [], (2, 32)
    for count in pairs:
        found, exact = estimates(Evolution(population=2 * count), batch, keys)
        errors.append(float(jnp.sqrt(jnp.square(found - exact).sum(-1).mean())))
        expected = np.sqrt((SIZE + 1) / count) * float(jnp.linalg.norm(exact))
        assert errors[-1] == pytest.approx(expected, rel=0.15)
    slope = np.polyfit(np.log(pairs), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.04)


def test_every_episode_draws_its_own(x64, getkey):
    """So four equal episodes count as four times the pairs."""
    batch, keys = judged(getkey), jr.split(getkey(), 300)
    four = jax.tree.map(lambda leaf: jnp.repeat(leaf, 4, 0), batch)
    found, exact = estimates(Evolution(population=8), four, keys)
    error = float(jnp.square(found - exact).sum(-1).mean())
    assert error == pytest.approx((SIZE + 1) / 16 * float(exact @ exact), rel=0.3)


def test_pairs_are_better_than_as_many_alone(x64, getkey):
    """A one-sided estimate L(theta + sigma e) e / sigma carries the loss itself as noise."""
    batch, keys, sigma = judged(getkey), jr.split(getkey(), 300), 0.1
    learner = leaky(size=SIZE)
    found, exact = estimates(Evolution(sigma=sigma, population=16), batch, keys)

    def alone(key):
        def one(key):
            e = jr.normal(key, (SIZE,))
            moved = eqx.tree_at(lambda own: own.start, learner, learner.start + sigma * e)
            return Unrolled()(moved, batch, key=key)[1].loss[0] * e / sigma

        return jax.vmap(one)(jr.split(key, 16)).mean(0)

    one_sided = compiled(jax.vmap(alone))(keys)
    paired, single = (float(jnp.square(own - exact).sum(-1).mean()) for own in (found, one_sided))
    assert paired < 0.1 * single


@pytest.mark.parametrize("segment", [1, 2])
@pytest.mark.slow
def test_segments_are_unbiased_for_the_whole_lifetime(x64, getkey, segment):
    batch = judged(getkey, moments=5)
    everything = jax.tree.map(lambda _: True, leaky(size=SIZE))
    estimator = Evolution(sigma=1e-3, population=200, segment=segment)
    found, exact = estimates(estimator, batch, jr.split(getkey(), 200), where=everything)
    standard_error = found.std(0) / np.sqrt(len(found))
    assert bool((jnp.abs(found.mean(0) - exact) < 4.5 * standard_error).all())
    # Of these sums, what a segment owes to earlier ones is no small part.
    assert bool((standard_error < 0.05 * jnp.abs(exact).max()).all())
    alone = compiled(Unrolled())(leaky(size=SIZE), _last(batch, 1), key=getkey())[0]
    assert float(jnp.abs(flat(alone) - exact).max()) > 10 * float(standard_error.max())


def _last(batch, moments):
    stream = jax.tree.map(lambda leaf: leaf[:, -moments:], batch.stream)
    return eqx.tree_at(lambda own: own.stream, batch, stream)


def test_a_segment_as_long_as_the_lifetime_is_none(x64, getkey):
    batch, keys = judged(getkey), jr.split(getkey(), 2)
    plain, _ = estimates(Evolution(), batch, keys)
    same, _ = estimates(Evolution(segment=4), batch, keys)
    assert_close(same, plain, 0.0)


@pytest.mark.parametrize("options", [{"segment": 2}, {"shaping": "ranks"}])
@pytest.mark.slow
def test_fewer_at_once_give_the_same(x64, getkey, options):
    batch, keys = judged(getkey, lives=2), jr.split(getkey(), 2)
    together, few = (
        estimates(Evolution(population=12, at_once=own, **options), batch, keys)[0]
        for own in (None, 2)
    )
    assert_close(few, together, 1e-12)


def test_it_reports_the_learner_itself(x64, getkey):
    batch, key = judged(getkey, lives=3), getkey()
    own, expected = (
        compiled(estimator)(leaky(size=SIZE), batch, key=key)[1]
        for estimator in (Evolution(sigma=1.0), Unrolled())
    )
    assert_close(own, expected, 1e-14)


# Ranks


def test_ranks():
    losses = jnp.asarray([[3.0, 1.0], [100.0, 2.0]])
    expected = np.asarray([[2 / 3, 0], [1, 1 / 3]]) - 0.5
    assert np.allclose(centred_ranks(losses), expected)
    tied = centred_ranks(jnp.asarray([1.0, 1.0, 0.0, 2.0]))
    assert np.allclose(tied, [0.0, 0.0, -0.5, 0.5])


def test_ranks_see_no_outlier_and_point_downhill(x64, getkey):
    batch, keys = judged(getkey), jr.split(getkey(), 50)
    found, exact = estimates(Evolution(population=64, shaping="ranks"), batch, keys)
    cosine = found @ exact / jnp.linalg.norm(found, axis=1) / jnp.linalg.norm(exact)
    assert float(cosine.min()) > 0.6


# Numbers that are not finite, and types


@pytest.mark.parametrize("options", [{"segment": 200}, {"shaping": "ranks"}])
def test_a_member_that_diverges_is_not_lost(x64, getkey, options):
    """A perturbation of 100 makes a decay whose powers overflow; the learner itself is finite."""
    learner = leaky(size=SIZE)
    batch = judged(getkey, moments=400)
    where = jax.tree.map(lambda _: True, learner)
    estimator = Evolution(sigma=100.0, population=6, **options)
    gradient, aux = compiled(estimator)(learner, batch, key=getkey(), where=where)
    assert bool(jnp.isfinite(aux.loss).all())
    assert not bool(jnp.isfinite(flat(gradient)).all())


@pytest.mark.parametrize("options", [{}, {"segment": 2}, {"shaping": "ranks"}])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_have_the_types_of_the_arrays(getkey, dtype, options):
    learner = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), leaky(size=SIZE))
    learner = eqx.tree_at(lambda own: own.start, learner, learner.start.astype(dtype))
    batch = judged(getkey, lives=2)

    class Mixed(type(learner)):
        def birth(self, *, key):
            return self.start.astype(jnp.float32)

    learner = Mixed(learner.start, learner.decay, learner.gain)
    estimator = Evolution(sigma=0.1, **options)
    gradient, _ = eqx.filter_eval_shape(estimator, learner, batch, key=getkey())
    assert [leaf.dtype for leaf in jax.tree.leaves(gradient)] == [dtype, *2 * [jnp.float32]]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sigma": 0.0}, "sigma 0.0"),
        ({"sigma": float("nan")}, "sigma nan"),
        ({"population": 7}, "even number"),
        ({"population": 0}, "even number"),
        ({"segment": 0}, "segment 0"),
        ({"segment": 2, "shaping": "ranks"}, "leave out --estimator.segment"),
        ({"population": 8, "at_once": 3}, "must divide the 4 pairs"),
        ({"at_once": 0}, "at-once 0"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        Evolution(**options)
