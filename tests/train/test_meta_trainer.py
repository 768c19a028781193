"""Meta-steps: chunks, seeds, groups, what is skipped, and what stops a run."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from toys import Line, delta, equal

from metaplastic._errors import UsageError
from metaplastic.meta.unrolled import Unrolled
from metaplastic.train.meta_optimiser import make_meta_schedule
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer


def trainer(task=None, **options) -> MetaTrainer:
    return MetaTrainer(delta, task or Line(), Unrolled(), MetaOptions(**options))


def run(own: MetaTrainer, seeds, *lengths):
    state, step, losses = own.initial(seeds), 0, []
    for length in lengths:
        state, metrics = own.chunk(state, step, length=length)
        step += length
        losses.append(metrics.loss)
    return state, jnp.concatenate(losses, 1)


def test_division_into_chunks_changes_nothing():
    own = trainer()
    whole, parts = run(own, [0, 1], 6), run(own, [0, 1], 1, 3, 2)
    equal(whole, parts)


@pytest.mark.parametrize("parallel", ["batch", "loop"])
def test_seeds_do_not_meet(parallel):
    own = trainer(parallel=parallel)
    _, alone = run(own, [3], 4)
    _, together = run(own, [2, 3], 4)
    np.testing.assert_allclose(together[1], alone[0], rtol=1e-6)
    assert not np.allclose(together[0], alone[0])


def test_one_step_of_plain_descent_is_the_gradient():
    own = trainer(optimiser="sgd", lr=0.5, group=("rate=sgd:0.01",))
    state = own.initial([0])
    replica = jax.tree.map(lambda leaf: leaf[0], state)
    episodes, key = own.episodes(own.task, replica, jnp.int32(0))
    gradient, _ = own.estimator(own.learner(replica), episodes, key=key)
    before, after = own.learner(state, 0), own.learner(own.chunk(state, 0, length=1)[0], 0)
    np.testing.assert_allclose(after.start, before.start - 0.5 * gradient.start, rtol=1e-5)
    np.testing.assert_allclose(after.rate, before.rate - 0.01 * gradient.rate, rtol=1e-5)


def test_frozen_paths_stay():
    own = trainer(freeze=("rate",))
    state, _ = run(own, [0], 5)
    assert own.leaves == ["start"]
    np.testing.assert_array_equal(own.learner(state, 0).rate, np.float32([0.1]))
    with pytest.raises(UsageError, match="--freeze start rate leaves no meta-parameter"):
        trainer(freeze=("start", "rate"))
    with pytest.raises(UsageError, match="--group strat"):
        trainer(group=("strat=1",))


@pytest.mark.slow
def test_it_learns_how_fast_to_learn():
    own = trainer(lr=0.02, meta_batch=16)
    state = own.initial([0, 1])
    before = own.test(state).loss.mean(1)
    state, _ = own.chunk(state, 0, length=300)
    # A unit that never changes can do no better than the variance of the lines' slopes, 1.
    assert (own.test(state).loss.mean(1) < 0.5 * np.minimum(before, 1.0)).all()


def test_one_factor_clips_all_by_the_norm_of_some():
    options = {"optimiser": "sgd", "lr": 1.0, "clip": 1e-3}
    free, by_all = trainer(optimiser="sgd", lr=1.0), trainer(**options)
    by_start = trainer(**options, clip_by=("start",))

    def moved(own):
        state = own.initial([0])
        after = own.learner(own.chunk(state, 0, length=1)[0], 0)
        before = own.learner(state, 0)
        return np.stack([after.start - before.start, after.rate - before.rate]).ravel()

    whole = moved(free)
    np.testing.assert_allclose(moved(by_all), whole * 1e-3 / np.linalg.norm(whole), rtol=2e-3)
    np.testing.assert_allclose(moved(by_start), whole * 1e-3 / abs(whole[0]), rtol=2e-3)


def test_loss_out_of_bounds_changes_nothing_and_is_counted():
    own = trainer(skip_above=1e-9)
    start = own.initial([0, 1])
    state, _ = own.chunk(start, 0, length=4)
    equal(state.learner, start.learner)
    assert state.skipped.tolist() == [4, 4]


def test_last_steps_only_measure():
    own = trainer(steps=6, frozen_last=2)
    four, _ = run(own, [0], 4)
    six, losses = run(own, [0], 6)
    equal(four.learner, six.learner)
    assert losses.shape == (1, 6)


def test_gradient_that_is_not_finite_stops_or_is_counted():
    poisoned = Line(poison=1)
    own = trainer(poisoned)
    start = own.initial([0])
    state, _ = own.chunk(start, 0, length=3)
    equal(state.learner, start.learner)
    assert state.stopped.tolist() == [0]
    skipping = trainer(poisoned, non_finite="skip")
    state, _ = skipping.chunk(start, 0, length=3)
    assert (state.stopped.tolist(), state.skipped.tolist()) == ([-1], [3])


def test_schedules():
    rates = {}
    for name in ("constant", "linear", "cosine"):
        own = make_meta_schedule(MetaOptions(steps=10, schedule=name))
        rates[name] = [float(own(jnp.int32(i))) for i in (0, 5)]
    assert rates == {
        "constant": [1.0, 1.0],
        "linear": [1.0, 0.5],
        "cosine": [1.0, pytest.approx(0.5)],
    }
    options = MetaOptions(steps=10, schedule="step", milestones=(3, 6), decay=0.5)
    step = make_meta_schedule(options)
    assert [float(step(jnp.int32(i))) for i in (2, 3, 6)] == [1.0, 0.5, 0.25]
    with pytest.raises(UsageError, match="--schedule step needs --milestones"):
        trainer(schedule="step")


def test_test_lifetimes_are_those_of_the_seed():
    own = trainer()
    state = own.initial([0, 1])
    np.testing.assert_array_equal(own.test(state, 7).loss, own.test(state, 7).loss)
    assert own.test(state, 7).metric.shape == (2, 7)


def test_builds_that_differ_in_functions_they_hold():
    import optax

    from metaplastic.learners.online import OnlineLearner
    from metaplastic.models import mlp
    from metaplastic.rules.backprop import Backprop

    def build(key):
        model = mlp((1,), 1, hidden=(3,), key=key)
        return OnlineLearner(model, Backprop(loss="squared_error"), optax.trace(0.9), key=key)

    own = MetaTrainer(build, Line(), Unrolled(), MetaOptions())
    state, metrics = own.chunk(own.initial([0]), 0, length=2)
    assert np.isfinite(metrics.loss).all()
    assert dataclasses.is_dataclass(own.learner(state, 0))


def test_key_is_the_whole_state_of_the_data():
    own = trainer()
    replica = jax.tree.map(lambda leaf: leaf[0], own.initial([5]))
    first, again = (own.episodes(own.task, replica, jnp.int32(7))[0] for _ in range(2))
    other = own.episodes(own.task, replica, jnp.int32(8))[0]
    np.testing.assert_array_equal(first.stream.x, again.stream.x)
    assert not np.array_equal(first.stream.x, other.stream.x)
    assert first.stream.x.shape == (4, 3, 2, 1)
    assert jr.key_data(replica.key).shape == (2,)
