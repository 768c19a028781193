"""The benchmark's reference computes what the library computes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaplastic.benchmarks import bohp
from metaplastic.learners.hebbian import hebbian
from metaplastic.meta.hebbian_recursion import HebbianRecursion
from metaplastic.papers._bohp_protocol import ONE_SHOT


@pytest.mark.slow
def test_reference_gradient_is_the_recursion(x64, getkey):
    task = ONE_SHOT.make_task()
    learner = hebbian(task, eta=1 - ONE_SHOT.gamma, scale=0.5, key=getkey())
    episode = jax.tree.map(lambda leaf: leaf[None], task.sample(getkey()))
    estimator = HebbianRecursion(slope="reference", bias="direct")
    ours, _ = eqx.filter_jit(estimator)(learner, episode, key=getkey())

    def named(own):
        layer = own.layers[0]
        return {
            "w": layer.weight.T,
            "alpha": layer.plasticity.alpha.T,
            "b": layer.bias,
            "v": own.readout.weight.T,
            "c": own.readout.bias,
        }

    theta = jax.tree.map(np.asarray, named(learner))
    theirs = bohp._reference_gradient(theta, np.asarray(episode.stream.x[0, :, 0]))
    for name, own in named(ours).items():
        # The reference adds 1e-8 to the denominator of its softmax.
        np.testing.assert_allclose(own, theirs[name], atol=1e-7 * abs(theirs[name]).max() + 1e-8)


def test_reference_lifetimes_are_the_tasks():
    x = bohp._reference_inputs(np.random.default_rng(0))
    patterns = jnp.asarray(x[:2, 2:])
    episode = ONE_SHOT.make_task().episode(patterns, jnp.arange(20, dtype=jnp.int32) % 2)
    np.testing.assert_array_equal(episode.stream.x[:, 0], x)
