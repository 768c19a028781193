"""Learned decay: lifetimes always start at the same draw, and the estimate needs phi alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from helpers import assert_close
from settling import Points, first
from toy_lifetimes import compiled, flat

from metaplastic._errors import UsageError
from metaplastic.learners.solver import Batch
from metaplastic.learners.weight_decay import weight_decay
from metaplastic.meta._settled import settled
from metaplastic.meta.base import learned
from metaplastic.meta.contrastive import Contrastive
from metaplastic.models import mlp, weights
from metaplastic.rules.backprop import Backprop

TASK = Points()
OPTIONS = {"hidden": (4,), "activation": "tanh", "optimiser": "sgd", "rate": 0.1, "steps": 6}


@pytest.fixture(scope="module")
def learner():
    def build(key):
        return weight_decay(TASK, rule=Backprop(), strength=0.3, key=key, **OPTIONS)

    with jax.enable_x64(True):
        yield compiled(build)(jr.key(0))


def test_strengths_alone_are_learned(learner):
    arrays = learned(learner)[0]
    assert len(jax.tree.leaves(arrays)) == len(jax.tree.leaves(arrays.strength)) == 4
    # log lambda of each weight and each bias: 3 x 4 + 4 + 4 x 2 + 2
    assert flat(arrays).shape == (26,)
    assert jnp.allclose(flat(arrays), jnp.log(0.3))


def test_every_lifetime_starts_at_the_same_draw(x64, learner):
    def start(key):
        return learner.start(key=key)

    a, b = compiled(start)(jr.key(1)), compiled(start)(jr.key(2))
    assert_close(a, b, 0.0)
    model_key = jr.split(jr.key(0))[0]
    model = mlp((3,), 2, hidden=(4,), activation="tanh", bias=True, key=model_key)
    assert_close(flat(a), flat(weights(model)), 1e-6)


def test_the_estimate_is_local(x64, learner):
    """d/d log lambda_i = lambda_i (phi+_i^2 - phi-_i^2) / (4 beta)."""
    estimator = Contrastive(beta=0.1, measure=False)
    batch = compiled(jax.vmap(TASK.sample))(jr.split(jr.key(1), 1))

    def both(key):
        stream, query = first(batch).stream, first(batch).query
        support, query = Batch(stream.x[0], stream.y[0]), Batch(query.x, query.y)
        free, phase_key = settled(learner, support, key=jr.split(key, 1)[0])
        nudged = estimator.nudged(learner, free, support, query, key=phase_key)[1]
        return estimator(learner, batch, key=key)[0], nudged

    gradient, nudged = compiled(both)(jr.key(3))
    up, down = (flat(jax.tree.map(lambda leaf, i=i: leaf[i], nudged)) for i in (0, 1))
    expected = jnp.exp(flat(learner.strength)) * (up**2 - down**2) / 0.4
    assert_close(flat(eqx.filter(gradient, eqx.is_inexact_array)), expected, 1e-10)


def test_strengths_that_nothing_learns_are_refused():
    with pytest.raises(UsageError, match=r"--learner\.strengths fixed: strengths are all that"):
        weight_decay(TASK, rule=Backprop(), strengths="fixed", key=jr.key(0))
