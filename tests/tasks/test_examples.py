"""Fixed sets of examples: every one of them once an epoch, however the work is divided."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from toys import Line, delta

from metaplastic.meta.cma_es import CMAES
from metaplastic.meta.unrolled import Unrolled
from metaplastic.tasks._examples import AbstractExamples, Part
from metaplastic.tasks.criteria import REGRESSION, Criterion
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer


class Lines(AbstractExamples):
    """Lines, of which there may be a fixed number."""

    criterion: ClassVar[Criterion] = REGRESSION

    examples: int | None = eqx.field(static=True, default=6)
    part: Part = eqx.field(static=True, default="train")
    input_shape: ClassVar[tuple[int, ...]] = (1,)
    outputs: ClassVar[int] = 1

    def drawn(self, key):
        return Line().sample(key)


def trainer(task, estimator=None, **options):
    own = MetaOptions(steps=6, meta_batch=4, parallel="batch", **options)
    return MetaTrainer(delta, task, estimator or Unrolled(), own)


def lived(own, seed):
    """A number of each lifetime of six meta-steps, in their order."""
    replica = jax.tree.map(lambda leaf: leaf[0], own.initial([seed]))
    steps = jnp.arange(6, dtype=jnp.int32)
    episodes, _ = jax.jit(jax.vmap(lambda step: own.episodes(own.task, replica, step)))(steps)
    return np.asarray(episodes.stream.x[..., 0, 0, 0]).reshape(-1)


@pytest.mark.parametrize("estimator", [Unrolled(), CMAES(population=4)], ids=["descent", "search"])
def test_every_example_comes_once_an_epoch(estimator):
    if isinstance(estimator, CMAES):
        pytest.importorskip("evosax")
    own = trainer(Lines(), estimator)
    first = lived(own, 0)
    epochs = first.reshape(4, 6)
    assert len(set(epochs[0])) == 6 and (epochs == epochs[0]).all()
    np.testing.assert_array_equal(first, lived(own, 1))  # the order is the set's, not a seed's
    known = {float(Lines().example(jnp.int32(i)).stream.x[0, 0, 0]) for i in range(6)}
    assert set(first.tolist()) == known


def test_without_a_set_every_lifetime_is_new():
    own = lived(trainer(Lines(examples=None)), 0)
    assert len(set(own)) == 24
    np.testing.assert_array_equal(own, lived(trainer(Line()), 0))  # by its key, as of other tasks


def test_a_key_draws_any_example():
    drawn = jax.vmap(Lines().sample)(jr.split(jr.key(0), 100)).stream.x[:, 0, 0, 0]
    assert len(set(drawn.tolist())) == 6


@pytest.mark.parametrize("lengths, devices", [((3, 3), 1), ((6,), 2)])
def test_epochs_do_not_depend_on_chunks_or_devices(lengths, devices, x64):
    whole, own = trainer(Lines()), trainer(Lines(), devices=devices)
    expected, _ = whole.chunk(whole.initial([0]), 0, length=6)
    state, step = own.initial([0]), 0
    for length in lengths:
        state, _ = own.chunk(state, step, length=length)
        step += length
    np.testing.assert_allclose(state.learner.start, expected.learner.start, rtol=1e-12)
    assert state.learner.start != own.initial([0]).learner.start
