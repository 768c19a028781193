"""Meta-training in the midst of lifetimes: chunks, resumption, devices, and what is left out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Line, delta, equal

from metaplastic._errors import UsageError
from metaplastic.meta.persistent import Persistent
from metaplastic.report.records import RunFolder
from metaplastic.train.meta_fit import meta_fit
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer


def trainer(task=None, estimator=None, **options) -> MetaTrainer:
    options = {"steps": 12, "record_every": 5, "test_lifetimes": 8, **options}
    estimator = estimator or Persistent(sigma=0.1, population=8, segment=2)
    return MetaTrainer(delta, task or Line(moments=5), estimator, MetaOptions(**options))


def run(own, seeds, *lengths):
    state, step = own.initial(seeds), 0
    for length in lengths:
        state, metrics = own.chunk(state, step, length=length)
        step += length
    return state, metrics


def test_all_meta_steps_of_a_lifetime_see_the_same_episodes():
    own = trainer()
    replica = jax.tree.map(lambda leaf: leaf[0], own.initial([0]))
    drawn = [own.episodes(own.task, replica, jnp.int32(step)) for step in range(4)]
    assert own.turns == 3
    for other in drawn[1:3]:
        equal(drawn[0][0], other[0])
        assert bool(drawn[0][1] == other[1])
    assert not np.allclose(drawn[0][0].stream.x, drawn[3][0].stream.x)


@pytest.mark.slow
def test_division_into_chunks_changes_nothing():
    own = trainer()
    equal(run(own, [0, 1], 7)[0], run(own, [0, 1], 1, 4, 2)[0])


def test_it_learns_how_fast_to_learn():
    own = trainer(lr=0.02, meta_batch=8)
    state = own.initial([0, 1])
    before = own.test(state, 200).loss.mean(1)
    state, _ = own.chunk(state, 0, length=600)
    assert (own.test(state, 200).loss.mean(1) < 0.5 * np.minimum(before, 1.0)).all()


class Interrupts:
    """A reporter that interrupts after the second chunk, in the midst of a lifetime."""

    chunks = 0

    def begin(self, total, **options): ...
    def compiling(self, what=""): ...
    def note(self, text): ...

    def update(self, done, metrics=None):
        self.chunks += 1
        if self.chunks == 2:
            raise KeyboardInterrupt


def test_interrupted_and_resumed_is_the_same_run(tmp_path):
    own = trainer(checkpoint_every=5)
    whole = meta_fit(own, [0, 1], folder=RunFolder(tmp_path / "whole", None))
    folder = RunFolder(tmp_path / "broken", None)
    with pytest.raises(KeyboardInterrupt):
        meta_fit(own, [0, 1], folder=folder, reporter=Interrupts())
    resumed = meta_fit(own, [0, 1], folder=folder)
    equal(resumed.state, whole.state)
    np.testing.assert_array_equal(resumed.test, whole.test)


@pytest.mark.parametrize(
    "seeds",
    [[0], pytest.param([0, 1], marks=pytest.mark.slow)],
    ids=["lifetimes", "replicas"],
)
def test_two_devices_give_the_numbers_of_one(x64, seeds):
    found = [run(trainer(devices=own, parallel="batch"), seeds, 4) for own in (1, 2)]
    for one, two in zip(*map(jax.tree.leaves, found), strict=True):
        if not jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_one_after_the_other_is_as_together(x64):
    found = [run(trainer(parallel=own), [0, 1], 4)[0] for own in ("batch", "loop")]
    np.testing.assert_allclose(found[0].learner.start, found[1].learner.start, rtol=1e-9)


def test_a_meta_step_that_is_left_out_is_lived_nevertheless():
    state, _ = run(trainer(skip_above=1e-9), [0], 2)
    assert state.skipped.tolist() == [2]
    assert not bool(state.lives.unborn.any())
    assert bool((state.lives.sums.start != 0).all())
    stopped, _ = run(trainer(Line(moments=5, poison=1)), [0], 3)
    assert stopped.stopped.tolist() == [0]
    assert bool(stopped.lives.unborn.all())


def test_lifetimes_that_grow_are_refused():
    with pytest.raises(UsageError, match=r"--curriculum task.moments=3\+1/5 changes lifetimes"):
        trainer(curriculum="task.moments=3+1/5")
