"""A learner of a comparison: the rate that it chooses, and what is left of it in its folder."""

import dataclasses

import numpy as np
import pytest

from metaplastic.report.records import RunFolder
from metaplastic.train import meta_entrant
from metaplastic.train.design import Design, Part
from metaplastic.train.meta_entrant import MetaEntrant, has_rate, meta_compete
from metaplastic.train.meta_options import MetaOptions


def entrant(**fields) -> MetaEntrant:
    design = Design(
        learner=Part("online", {"hidden": (4,)}),
        rule=Part("backprop"),
        task=Part("sinusoid", {"shots": 4, "moments": 2}),
    )
    options = MetaOptions(steps=20, lr=1e-3, test_lifetimes=10, record_every=5)
    given = {"label": "backprop", "design": design, "options": options, "seeds": (0, 1)}
    return MetaEntrant(**{**given, **fields})


@pytest.mark.slow
def test_the_best_of_the_rates_is_taken_for_all_seeds(tmp_path):
    row = meta_compete(entrant(rates=(1e-6, 1e-2, 1e6)), RunFolder(tmp_path, None))
    assert row["best_rate"] == 1e-2
    assert [cell["rate"] for cell in row["grid"]] == [1e-6, 1e-2, 1e6]
    assert row["grid"][2]["metric"] is None or row["grid"][2]["metric"] > 100
    assert (row["rate_of"], row["test"]["n"]) == ("the lifetime", 2)
    assert np.shape(row["curve"]["meta_loss"]) == (4, 2)


@pytest.mark.slow
def test_the_grid_goes_on_while_the_best_lies_at_its_end(tmp_path):
    row = meta_compete(entrant(rates=(1e-4, 1e-3), widen=2), RunFolder(tmp_path, None))
    assert [cell["rate"] for cell in row["grid"]] == [1e-4, 1e-3, 1e-2, 1e-1]
    assert row["best_rate"] in (1e-2, 1e-1)
    assert {own.name for own in (tmp_path / "parts").iterdir()} == {
        *("grid", "grid-0.01", "grid-0.1", "final")
    }


def test_a_grid_of_the_meta_optimiser_goes_on_too(tmp_path, monkeypatch):
    """Best at 0.1, of a metric that is to be low."""
    asked = []

    def train(own, folder, reporter, *, final=False):
        asked.append((own.options.lr, own.seeds))
        metric = abs(np.log10(own.options.lr) + 1)
        return {"curve": {"meta_metric": [[metric] * len(own.seeds)]}, "test": None}

    monkeypatch.setattr(meta_entrant, "_train", train)
    design = dataclasses.replace(entrant().design, learner=Part("hebbian"), rule=None)
    own = entrant(rates=(1e-3, 1e-2), widen=3, design=design)
    row = meta_compete(own, RunFolder(tmp_path, None))
    assert (row["best_rate"], row["rate_of"]) == (0.1, "the meta-optimiser")
    assert [cell["metric"] for cell in row["grid"]] == pytest.approx([2, 1, 0, 1])
    assert asked == [*((lr, (0,)) for lr in (1e-3, 1e-2, 0.1, 1.0)), (0.1, (0, 1))]


def test_a_single_rate_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(meta_entrant, "_train", lambda own, folder, reporter, *, final: {})
    row = meta_compete(entrant(rates=(0.5,), widen=3), RunFolder(tmp_path, None))
    assert (row["best_rate"], row["grid"]) == (0.5, [])


def test_a_row_that_is_there_is_not_made_again(tmp_path):
    folder = RunFolder(tmp_path, None)
    folder.write_result({"label": "was here"})
    assert meta_compete(entrant(), folder) == {"label": "was here"}


def test_divergence_is_a_row_too(tmp_path):
    learner = Part("online", {"hidden": (4,), "rate": 1e30})
    own = dataclasses.replace(
        entrant(), design=dataclasses.replace(entrant().design, learner=learner)
    )
    row = meta_compete(own, RunFolder(tmp_path, None))
    assert row["test"] is None
    assert "diverged at meta-step 0" in row["diverged"]


def test_a_measure_takes_the_place_of_the_test(tmp_path):
    own = entrant(measure=lambda trainer, outcome: outcome.test.max(-1))
    row = meta_compete(own, RunFolder(tmp_path, None))
    assert np.shape(row["measure"]) == (2,)
    assert np.mean(row["measure"]) > row["test"]["mean"]


@pytest.mark.parametrize(("learner", "expected"), [("online", True), ("hebbian", False)])
def test_who_has_a_rate(learner, expected):
    design = dataclasses.replace(entrant().design, learner=Part(learner))
    assert has_rate(design) == expected
