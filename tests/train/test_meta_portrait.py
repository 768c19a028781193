"""Portraits: sections that are there, the seed that is shown, files that hold them."""

import numpy as np
import pytest

from metaplastic.report.portrait import FILE, read_portrait
from metaplastic.report.records import RunFolder
from metaplastic.train import meta_run
from metaplastic.train.design import Design, Part
from metaplastic.train.fit import Silent
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_portrait import portrait, write_portrait
from metaplastic.train.meta_trainer import MetaTrainer


def trainer_of(learner, task, rule=None, steps=50):
    design = Design(learner=learner, task=task, rule=rule)
    return MetaTrainer(*design.make(), MetaOptions(steps=steps, meta_batch=2, test_lifetimes=4))


def sections(found):
    return {name.partition("/")[0] for name in found}


def test_the_median_seed_is_shown_before_and_after():
    trainer = trainer_of(Part("hebbian"), Part("one_shot"))
    seeds = [3, 4, 5]
    start = trainer.initial(seeds)
    state, _ = trainer.chunk(start, 0, length=2)
    test = np.asarray([[0.9], [0.2], [0.5]])
    found = portrait(trainer, state, seeds, test)
    assert sections(found) == {"about", "start", "end", "lifetime"}
    assert found["about/seed"] == 5 and str(found["about/metric"]) == "accuracy"
    for section, own in (("start", start), ("end", state)):
        expected = trainer.learner(own, 2).layers[0].plasticity.alpha
        np.testing.assert_array_equal(found[f"{section}/layers.0.plasticity.alpha"], expected)
    assert found["lifetime/state/0.trace"].shape == (21, 10, 2)
    again = portrait(trainer, state, seeds, test)
    assert all((again[name] == own).all() for name, own in found.items())


def test_an_on_line_learner_in_continual_order_has_all_of_it():
    task = Part("sinusoid_sequence", {"functions": 2, "batches": 2, "shots": 3, "queries": 4})
    trainer = trainer_of(Part("online", {"hidden": (4,)}), task, Part("backprop"))
    state = trainer.initial([0])
    found = portrait(trainer, state, [0], np.zeros((1, 1)))
    expected = {"about", "start", "end", "lifetime", "curves", "retention"}
    assert sections(found) == expected | {"alignment", "interference"}
    assert found["alignment/cosine"].shape[1:] == (4, 2)
    np.testing.assert_allclose(found["alignment/cosine"], 1, atol=1e-4)  # it is the gradient
    assert found["retention/retention"].shape[1:] == (2, 2)


def test_a_learner_whose_changes_are_no_weights_has_what_it_keeps():
    task = Part("sinusoid_sequence", {"functions": 2, "batches": 2, "shots": 1, "queries": 4})
    trainer = trainer_of(Part("hebbian", {"hidden": (4,)}), task)
    found = portrait(trainer, trainer.initial([0]), [0], np.zeros((1, 1)))
    assert sections(found) == {"about", "start", "end", "lifetime", "curves", "retention"}
    assert found["retention/before"].shape[1:] == (2,)


def test_of_large_learners_maps_alone_are_left_out(monkeypatch):
    monkeypatch.setattr("metaplastic.train.meta_portrait.MOST_FAST_NUMBERS", 19)
    monkeypatch.setattr("metaplastic.train.meta_portrait._MOST_SLOW_NUMBERS", 19)
    trainer = trainer_of(Part("hebbian"), Part("one_shot"))
    found = portrait(trainer, trainer.initial([0]), [0], np.zeros((1, 1)))
    assert sections(found) == {"about", "start", "end", "lifetime"}
    assert not [name for name in found if name.startswith("lifetime/state/")]
    assert {name for name in found if name.startswith("end/")} == {"end/readout.weight"}
    assert list(found["about/left_out"]) == ["maps of the fast state, which has 20 numbers"]


class Notes(Silent):
    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


@pytest.mark.parametrize(
    ("most", "count"), [pytest.param(16 * 4 * 3 + 1, 3, marks=pytest.mark.slow), (16 * 4 - 1, 0)]
)
def test_large_learners_have_fewer_lifetimes_measured(monkeypatch, tmp_path, most, count):
    """Sixteen numbers, four moments: as many lifetimes as the work allows."""
    monkeypatch.setattr("metaplastic.train.meta_portrait._MOST_WORK", most)
    task = Part("sinusoid_sequence", {"functions": 2, "batches": 2, "shots": 3, "queries": 4})
    trainer = trainer_of(Part("online", {"hidden": (3,)}), task, Part("flp"))
    state, notes = trainer.initial([0]), Notes()
    with RunFolder.create(tmp_path / "run", "x") as folder:
        write_portrait(trainer, state, [0], np.zeros((1, 1)), folder, notes)
    found = read_portrait(tmp_path / "run")
    assert {"lifetime", "curves"} <= set(found)
    if count:
        assert len(found["alignment"]["cosine"]) == len(found["interference"]["centred"]) == count
        assert notes.texts == []
    else:
        assert not {"alignment", "interference", "retention"} & set(found)
        assert notes.texts == ["not drawn: changes of 16 numbers over 4 moments"]


def test_it_is_written_and_read_and_trials_have_none(tmp_path):
    for steps in (49, 50):
        trainer = trainer_of(Part("hebbian"), Part("pattern_completion"), steps=steps)
        state = trainer.initial([0])
        with RunFolder.create(tmp_path / str(steps), "x") as folder:
            write_portrait(trainer, state, [0], np.zeros((1, 1)), folder)
    assert not (tmp_path / "49" / FILE).exists()
    found = portrait(trainer, state, [0], np.zeros((1, 1)))
    read = read_portrait(tmp_path / "50")
    for name, own in found.items():
        section, _, rest = name.partition("/")
        np.testing.assert_array_equal(read[section][rest], own)
    assert [p.name for p in (tmp_path / "50").iterdir() if p.suffix == ".npz"] == [FILE]


@pytest.mark.slow
def test_a_run_leaves_its_portrait(tmp_path):
    design = Design(learner=Part("hebbian"), task=Part("one_shot"))
    with RunFolder.create(tmp_path / "run", "x") as folder:
        meta_run.run(design, MetaOptions(steps=50, test_lifetimes=5), folder=folder)
        assert {"lifetime", "start", "end"} <= set(read_portrait(folder.path))
