"""The benchmark's reference computes what the library computes."""

import jax
import numpy as np
import pytest
from toy_lifetimes import compiled

from metaplastic.benchmarks import blur as benchmark
from metaplastic.learners.blur import blur
from metaplastic.learners.lifetime import live
from metaplastic.tasks.plane_functions import PlaneFunctions


@pytest.mark.slow
def test_reference_lifetime_and_its_gradient(x64, getkey):
    torch = pytest.importorskip("torch")
    task = PlaneFunctions(functions=("xor",), moments=3, batch=16, queries=16)
    learner = blur(task, hidden=(20,), key=getkey())
    episode, key = task.sample(getkey()), getkey()
    life = learner.birth(key=jax.random.split(key)[0])
    born = [torch.from_numpy(np.array(w)) for w in (life.up[0], life.up[1], life.down[0])]
    x, y = (
        torch.from_numpy(
            np.concatenate([getattr(episode.stream, n), getattr(episode.query, n)[None]])
        )
        for n in ("x", "y")
    )
    genome = {n: v.double().requires_grad_() for n, v in benchmark._torch_genome(torch).items()}
    genome["synapse_rate"] = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    theirs = benchmark.torch_lifetime(torch, genome, x, y, born)
    theirs.backward()

    def loss(learner):
        return live(learner, episode, key=key).loss

    ours, slope = compiled(jax.value_and_grad(loss))(learner)
    assert float(ours) == pytest.approx(theirs.item(), abs=1e-10)
    own = slope.genome[0]
    for name in ("forward", "backward", "pre", "post", "keep", "gain", "synapse_rate"):
        given = np.asarray(genome[name].grad)
        assert np.allclose(getattr(own, name), given, atol=1e-9), name
    for which in ("forward", "backward"):
        norm = getattr(own, f"{which}_norm")
        assert np.allclose(norm.mean, genome[f"{which}_mean"].grad, atol=1e-9)
        assert np.allclose(norm.deviation, genome[f"{which}_deviation"].grad, atol=1e-9)


def test_the_floor_counts_every_product():
    """The operands of the floor: 2 + 1 + 2 products a moment and 2 of the questions."""
    products = benchmark.operands()
    assert len(products) == 5 * 10 + 2
    assert all(x.shape[-1] == w.shape[-2] and (x @ w).shape == z.shape for x, w, z in products)
    assert products[0][0].shape == (12, 128, 2)
