"""The benchmark's PyTorch loop computes what the library computes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from toy_lifetimes import compiled

from metaplastic.benchmarks import stpn as benchmark
from metaplastic.learners.stpn import Pace, stpn
from metaplastic.meta.unrolled import Unrolled
from metaplastic.tasks.associative_retrieval import AssociativeRetrieval


@pytest.mark.slow
def test_the_reference_has_the_same_gradient(getkey):
    torch = pytest.importorskip("torch")
    task = AssociativeRetrieval()
    steps = benchmark.torch_steps(1)
    theta = {name: jnp.asarray(own.detach().numpy()) for name, own in steps.theta.items()}
    learner = stpn(task, key=getkey())
    learner = eqx.tree_at(
        lambda own: (own.weight, own.bias, own.pace, own.readout.weight),
        learner,
        (theta["weight"], theta["bias"], Pace(theta["decay"], theta["rate"]), theta["out"]),
    )
    episodes = jax.vmap(task.sample)(jr.split(getkey(), 128))
    gradient, aux = compiled(Unrolled())(learner, episodes, key=getkey())
    x = torch.tensor(np.asarray(episodes.stream.x[:, :, 0]))
    answer = torch.tensor(np.asarray(episodes.stream.target[:, -1, 0].argmax(-1), np.int64))
    loss = steps.loss(x, answer)
    loss.backward()
    np.testing.assert_allclose(aux.loss.mean(), loss.item(), rtol=1e-5)
    named = {"weight": gradient.weight, "decay": gradient.pace.decay, "rate": gradient.pace.rate}
    for name, own in {**named, "out": gradient.readout.weight}.items():
        theirs = steps.theta[name].grad.numpy()
        np.testing.assert_allclose(own, theirs, atol=1e-4 * abs(theirs).max())
