"""Orthonormality against the paper's formulas with the paper's layout, by NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.orthonormality import orthonormality, orthonormality_over_lifetime
from metaplastic.learners.online import online
from metaplastic.models.conv4 import conv4
from metaplastic.models.mlp import mlp
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.sinusoid import Sinusoid


def test_both_measures_by_hand():
    network = mlp((5,), 2, hidden=(4,), activation="tanh", key=jr.key(0))
    x = jr.normal(jr.key(1), (6, 5))
    found = orthonormality(network, x)
    below = np.asarray(x)
    for i, layer in enumerate(network.nodes[1:]):
        w = np.asarray(layer.weight).T  # [units, inputs], as in the paper
        z = below @ w.T
        y = np.tanh(z) if i == 0 else z
        residual = np.mean([np.sum((a - w @ w.T @ b) ** 2) for a, b in zip(z, y, strict=True)])
        np.testing.assert_allclose(found.residual[i], residual, rtol=1e-4)
        deviation = np.sqrt(((w @ w.T - np.eye(len(w))) ** 2).sum())
        np.testing.assert_allclose(found.deviation[i], deviation, rtol=1e-5)
        below = y


def test_an_orthonormal_layer_deviates_in_nothing():
    network = mlp((5,), 3, hidden=(4,), activation="identity", key=jr.key(0))
    rows = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0][:, :4]
    network = eqx.tree_at(lambda own: own.nodes[1].weight, network, jnp.asarray(rows, "float32"))
    found = orthonormality(network, jr.normal(jr.key(1), (6, 5)))
    assert found.deviation[0] < 1e-5 and found.residual[0] < 1e-8
    assert found.deviation[1] > 0.1


def test_over_a_lifetime():
    task = Sinusoid(moments=3)
    learner = online(task, rule=Backprop(), hidden=(4,), rate=0.05, key=jr.key(0))
    episode, key = task.sample(jr.key(1)), jr.key(2)
    run = jax.jit(lambda own, ep: orthonormality_over_lifetime(own, ep, key=key))
    found = run(learner, episode)
    assert found.residual.shape == found.deviation.shape == (4, 2)
    born = orthonormality(learner.model, episode.query.x)
    np.testing.assert_allclose(found.deviation[0], born.deviation, rtol=1e-5)
    assert (found.deviation[1:] != found.deviation[:-1]).all()


def test_convolutions_have_no_such_matrix():
    network = conv4((8, 8, 1), 2, filters=(2,), hidden=(), key=jr.key(0))
    with pytest.raises(UsageError, match="has no matrix W W"):
        orthonormality(network, jnp.zeros((1, 8, 8, 1)))
