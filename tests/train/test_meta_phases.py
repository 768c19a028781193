"""Meta-training of lifetimes that settle: what is not finite is named by lifetime, phase, step."""

import dataclasses
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import DivergedError
from metaplastic.learners._phase_walk import Walk, walk
from metaplastic.learners.complex_synapse import complex_synapse
from metaplastic.learners.solver import Batch, Solver
from metaplastic.meta.contrastive import Contrastive
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.sinusoid import Sinusoid
from metaplastic.train.meta_diagnosis import diagnose
from metaplastic.train.meta_fit import meta_fit
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer

TASK = Sinusoid(shots=4, queries=3)


def trained(estimator, **options):
    def build(key):
        return complex_synapse(TASK, rule=Backprop(), hidden=(5,), key=key, **options)

    made = MetaOptions(steps=2, test_every=1, meta_batch=2, test_lifetimes=2)
    return meta_fit(MetaTrainer(build, TASK, estimator, made), [0])


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self):
        self.notes = []

    def begin(self, total, **options): ...
    def compiling(self, what=""): ...
    def update(self, done, metrics=None): ...

    def note(self, text):
        self.notes.append(text)


def small(**options):
    return complex_synapse(TASK, rule=Backprop(), hidden=(5,), key=jr.key(0), **options)


def test_a_free_phase_that_diverges():
    with pytest.raises(DivergedError, match=r"of the free phase is not finite in lifetime 0, step"):
        trained(Contrastive(), optimiser="sgd", rate=1e3, steps=30)


@pytest.mark.slow
def test_a_nudged_phase_that_diverges():
    estimator = Contrastive(optimiser="sgd", rate=1e6, steps=40)
    sentence = r"phase at beta 0.1 is not finite in lifetime 0, step \d+; try a smaller --learner"
    for until in (None, 1e-8):
        with pytest.raises(DivergedError, match=sentence):
            trained(estimator, steps=3, until=until)


def test_a_nudged_phase_that_diverges_before_it_is_stationary():
    """It stops where its slope is not finite, and gives no gradient; its step is named."""
    learner = small(steps=3, rate=1e-6, until=1e-8)
    estimator = Contrastive(optimiser="sgd", rate=1e4, steps=60)
    episode = TASK.sample(jr.key(1))
    one = jax.tree.map(lambda leaf: leaf[None], episode)
    gradient, aux = eqx.filter_jit(estimator)(learner, one, key=jr.key(2))
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.isnan(aux.quality["nudged_stationarity"]).all()
    blame = estimator.blame(learner, episode, key=jr.key(2))
    assert blame.what == "phi of the phase at beta 0.1"
    assert 0 <= blame.step < 60


def test_the_step_at_which_a_free_phase_breaks():
    """The first whose slope, or what it makes of phi, is not finite."""
    episode = TASK.sample(jr.key(1))
    support = Batch(episode.stream.x[0], episode.stream.y[0])
    learner = small(optimiser="sgd", rate=3e2, steps=100, until=1e-4)

    def broken(steps):
        own = dataclasses.replace(learner, solver=dataclasses.replace(learner.solver, steps=steps))
        return walk(own, own.start(key=jr.key(0)), support, key=jr.key(0))

    whole = broken(100)
    unit, step = whole.breaks().unit, whole.breaks().number
    assert unit == "step" and whole.fine[:step].all() and 0 < step < 100
    assert broken(step - 1).breaks() is None

    def moment(index, **solver):
        fine = np.arange(6) != index
        return Walk(np.zeros(6), fine, Solver("sgd", 2, **solver)).breaks()

    assert moment(2) == (2, "step") and moment(4, newton=3) == (1, "Newton step")
    assert Walk(np.zeros(2), np.zeros(1, bool), Solver("bfgs", 2)).breaks() == (None, "step")


class Poisoned(Sinusoid):
    """NaN in the targets of the examples or of the questions of every lifetime but some."""

    where: str = eqx.field(static=True, default="query")

    def sample(self, key):
        episode = super().sample(key)
        bad = jr.uniform(jr.fold_in(key, 9)) < 0.5

        def poison(y):
            return jnp.where(bad, jnp.nan, y)

        if self.where == "query":
            return eqx.tree_at(lambda own: own.query.y, episode, replace_fn=poison)
        return eqx.tree_at(lambda own: own.stream.y, episode, replace_fn=poison)


@pytest.mark.parametrize(("where", "named"), [("query", "questions"), ("stream", "examples")])
def test_data_that_are_not_finite_are_named_as_such(where, named):
    task = Poisoned(shots=4, queries=3, where=where)
    options = MetaOptions(steps=2, meta_batch=4, test_lifetimes=2)
    trainer = MetaTrainer(lambda key: small(steps=2), task, Contrastive(), options)
    replica = trainer.replica(small(steps=2), jr.key(3))
    found = diagnose(trainer, replica, 0)
    y = trainer.episodes(task, replica, jnp.int32(0))[0]
    y = y.query.y if where == "query" else y.stream.y
    first = int(np.flatnonzero(np.isnan(y).any((1, 2) if where == "query" else (1, 2, 3)))[0])
    assert f"the task's {named} are not finite in lifetime {first}" in str(found)
    assert "data without NaN" in found.remedy


def test_the_phase_that_climbs_is_named_and_from_which_step_on():
    """Descent at a rate that overshoots: both climb, the one that is nudged more climbs more."""
    learner = small(steps=3, rate=1e-3)
    estimator = Contrastive(optimiser="sgd", rate=2.0, steps=4, contrast="three_point")
    told = estimator.within("climbs", learner, TASK.sample(jr.key(1)), key=jr.key(2))
    assert told.startswith("the phase at beta 0.")
    assert "above its start after step 0" in told


def test_records_hold_how_the_phases_settled_and_a_warning_comes_once():
    def build(key):
        return complex_synapse(TASK, rule=Backprop(), hidden=(5,), steps=3, key=key)

    made = MetaOptions(steps=3, test_every=1, meta_batch=2, test_lifetimes=2)
    trainer = MetaTrainer(build, TASK, Contrastive(contrast="one_sided"), made)
    notes = Notes()
    outcome = meta_fit(trainer, [0], reporter=notes)
    assert outcome.records[-1]["free_stationarity"][0] > 0.1
    assert len(notes.notes) == 1
    assert "the free phase is far from stationary" in notes.notes[0]
    assert outcome.warning == notes.notes[0]
    assert re.search(
        r"worst in meta-step 0 \(seed 0\), lifetime \d, the free phase$", outcome.warning
    )
