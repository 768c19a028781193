"""Several learners a seed, tasks that grow, and searches in the place of an optimiser."""

import json

import jax
import jax.random as jr
import numpy as np
import pytest
from test_meta_fit import Interrupts, trainer, without_seconds
from toys import Line, delta

from metaplastic._errors import UsageError
from metaplastic.meta.cma_es import CMAES
from metaplastic.report.records import RunFolder
from metaplastic.train.meta_fit import meta_fit
from metaplastic.train.meta_options import Curriculum, MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer
from metaplastic.train.species import keys_of, leaders

GROWING = {"curriculum": "task.moments=2+1/5", "species": 2, "checkpoint_every": 5}


def test_the_leader_is_best_over_the_last_tenth_and_finite():
    losses = [[[0.0, 9.0], [1.0, 1.0]]] * 10 + [[[3.0, 2.0], [np.nan, 5.0]]] * 10
    assert leaders(losses).tolist() == [1, 1]
    assert leaders(losses[:10]).tolist() == [0, 0]


def test_the_first_species_is_the_run_of_one(tmp_path):
    alone = trainer().initial([3])
    together = trainer(species=3).initial([2, 3])
    assert jax.tree.leaves(together.learner)[0].shape[0] == 6
    for one, six in zip(
        jax.tree.leaves(alone.learner), jax.tree.leaves(together.learner), strict=True
    ):
        np.testing.assert_array_equal(one[0], six[3])
    assert len(np.unique(jr.key_data(keys_of([2, 3], 3)), axis=0)) == 6


def test_the_result_is_the_best_of_the_species():
    outcome = meta_fit(trainer(species=3), [0, 1])
    last = outcome.records[-1]
    assert outcome.test.shape == (2, 8)
    chosen = np.argmin(last["species_loss"], 1)
    assert last["meta_loss"] == [
        own[i] for own, i in zip(last["species_loss"], chosen, strict=True)
    ]
    assert last["values"]["start"] == outcome.state.learner.start.astype(float).tolist()


def test_a_growing_task_resumes_where_it_was(tmp_path):
    own = trainer(**GROWING)
    assert [own.task_at(step).moments for step in (0, 4, 5, 11)] == [2, 2, 3, 4]
    assert own.test_task.moments == 4
    whole = meta_fit(own, [0], folder=RunFolder(tmp_path / "whole", None))
    assert [record["step"] for record in whole.records] == [0, 5, 10, 12]
    folder = RunFolder(tmp_path / "broken", None)
    with pytest.raises(KeyboardInterrupt):
        meta_fit(own, [0], folder=folder, reporter=Interrupts(1))
    resumed = meta_fit(own, [0], folder=folder)
    assert json.dumps(without_seconds(resumed.records)) == json.dumps(
        without_seconds(whole.records)
    )
    np.testing.assert_array_equal(resumed.test, whole.test)


@pytest.mark.slow
def test_species_begin_again_as_the_best_when_the_task_changes():
    own = trainer(**{**GROWING, "curriculum": "task.moments=2+0/5", "lr": 1e-30})
    outcome = meta_fit(own, [0])
    first, second, *_ = (own["species_loss"][0] for own in outcome.records[1:])
    assert len(set(first)) == 2  # different learners, on different lifetimes
    values = [own["values"]["start"] for own in outcome.records[1:]]
    np.testing.assert_allclose(values[0], values[-1])  # of the leader, which nothing has moved
    assert second != first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"curriculum": "moments=3"}, "--curriculum moments=3: write task.FIELD=START"),
        ({"curriculum": "task.moments=3+1/0"}, "--curriculum task.moments=3"),
        ({"sparsity": ("start",)}, "--sparsity start: write path=strength"),
        ({"sparsity": ("start=-1",)}, "--sparsity start=-1: write path=strength"),
        ({"species": 0}, "--species 0: it must be positive"),
    ],
)
def test_impossible_values(fields, message):
    with pytest.raises(UsageError) as error:
        MetaOptions(**fields).check()
    assert str(error.value).startswith(message)


def test_what_the_task_does_not_have_cannot_grow():
    with pytest.raises(UsageError, match=r"unknown field .* 'momnts': did you mean 'moments'"):
        trainer(curriculum="task.momnts=2+1/5")
    assert MetaOptions(curriculum="task.moments=10+5/100").stages() == Curriculum(
        "moments", 10, 5, 100
    )


def test_an_l1_penalty_is_part_of_the_meta_loss():
    plain, sparse = (trainer(optimiser="sgd", lr=0.1, sparsity=own) for own in ((), ("start=0.5",)))
    state = plain.initial([0])
    before = np.asarray(plain.learner(state, 0).start)
    after = [own.learner(own.chunk(state, 0, length=1)[0], 0) for own in (plain, sparse)]
    expected = np.asarray(after[0].start) - 0.1 * 0.5 * np.sign(before)
    np.testing.assert_allclose(after[1].start, expected, rtol=1e-5)
    np.testing.assert_array_equal(after[1].rate, after[0].rate)
    with pytest.raises(UsageError, match="--sparsity strat: no meta-parameter"):
        trainer(sparsity=("strat=0.5",))


def searching(tmp_path, seeds, interrupted=None):
    options = {"steps": 12, "record_every": 4, "test_lifetimes": 8, "checkpoint_every": 4}
    own = MetaTrainer(delta, Line(), CMAES(population=8, sigma=0.3), MetaOptions(**options))
    folder = RunFolder(tmp_path / str(interrupted), None)
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            meta_fit(own, seeds, folder=folder, reporter=Interrupts(interrupted))
    return meta_fit(own, seeds, folder=folder)


def test_a_search_improves_the_learner(tmp_path):
    outcome = searching(tmp_path, [1])
    first, last = outcome.records[0], outcome.records[-1]
    assert last["test_loss"][0] < 0.8 * first["test_loss"][0]
    assert last["non_finite"] == [0]


@pytest.mark.slow
def test_a_search_resumes(tmp_path):
    whole, resumed = searching(tmp_path, [0, 1]), searching(tmp_path, [0, 1], interrupted=2)
    assert without_seconds(resumed.records) == without_seconds(whole.records)


@pytest.mark.parametrize(
    "option", [{"clip": 1.0}, {"group": ("rate=0.1",)}, {"schedule": "cosine"}]
)
def test_options_that_have_no_part_in_a_search(option):
    with pytest.raises(UsageError, match="has no part in CMAES"):
        MetaTrainer(delta, Line(), CMAES(), MetaOptions(**option))
