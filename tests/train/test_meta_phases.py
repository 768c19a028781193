"""Meta-training of lifetimes that settle: what is not finite is named by lifetime, phase, step."""

import pytest

from metaplastic._errors import DivergedError
from metaplastic.learners.complex_synapse import complex_synapse
from metaplastic.meta.contrastive import Contrastive
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.sinusoid import Sinusoid
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


def test_a_free_phase_that_diverges():
    with pytest.raises(DivergedError, match=r"of the free phase is not finite in lifetime 0, step"):
        trained(Contrastive(), optimiser="sgd", rate=1e3, steps=30)


@pytest.mark.slow
def test_a_nudged_phase_that_diverges():
    estimator = Contrastive(optimiser="sgd", rate=1e6, steps=40)
    sentence = r"phase at beta 0.1, step \d+ is not finite in lifetime 0; try a smaller --learner"
    with pytest.raises(DivergedError, match=sentence):
        trained(estimator, steps=5)


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
    assert Contrastive().advice({}) is None
