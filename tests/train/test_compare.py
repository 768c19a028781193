"""How a comparison chooses rates and sums up, with a trainer whose accuracies are made up."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from small_data import small_dataset

from metaplastic.report.records import RunFolder
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.shallow import Shallow
from metaplastic.train import Outcome, TrainOptions, compare as compare_module, entrant
from metaplastic.train.compare import Protocol, compare, control_row, resume
from metaplastic.train.divergence import Divergence
from metaplastic.train.entrant import Entrant, compete
from metaplastic.train.trainer import Replica

OPTIONS = TrainOptions(hidden=(4,), batch_size=5, epochs=6, validation=0.2, alignment=False)
VALID = {0.01: 0.5, 0.1: 0.8, 1.0: 0.6}
TEST = {0.01: 0.4, 0.1: 0.7, 1.0: 0.95}
"""The rate that is best on the test set is not the one that is best on the validation set."""
BROKEN = Divergence(3, "the loss", "nan")


@pytest.fixture
def calls(monkeypatch):
    """Replace the training itself; a list of what was asked of it."""
    made = []

    def fit(trainer, seeds, rates, *, folder=None, **options):
        made.append({"seeds": list(seeds), "rates": list(rates), "options": trainer.options})
        made[-1]["rule"] = type(trainer.rule).__name__
        broken = {i for i, rate in enumerate(rates) if VALID.get(rate) is None}
        records = [
            {
                "epoch": epoch,
                "valid_accuracy": [VALID.get(rate) or 0.99 for rate in rates],
                # A seed adds its hundredth, so that seeds can be told apart.
                "test_accuracy": [
                    (TEST.get(r) or 0.99) + s / 100 for s, r in zip(seeds, rates, strict=True)
                ],
            }
            for epoch in range(trainer.options.epochs + 1)
        ]
        keys = jr.split(jr.key(0), len(rates))
        state = jax.vmap(lambda key, rate: Replica((), (), (), key, rate))(
            keys, jnp.ones(len(rates))
        )
        return Outcome(records, state, {i: BROKEN for i in broken})

    monkeypatch.setattr(entrant, "fit", fit)
    return made


@pytest.fixture
def folder(tmp_path):
    with RunFolder.create(tmp_path / "run", "run") as folder:
        yield folder


def competitor(**changes) -> Entrant:
    own = dict(label="backprop", rule=Backprop(), options=OPTIONS, rates=tuple(VALID))
    return Entrant(**{**own, "seeds": (0, 1), **changes})


def test_rate_is_chosen_on_the_validation_set(calls, folder):
    row = compete(competitor(), small_dataset(), folder)
    assert row["best_lr"] == 0.1
    assert not row["best_at_edge"]
    assert row["test_accuracy"]["per_seed"] == pytest.approx([0.7, 0.71])
    assert row["test_accuracy"]["mean"] == pytest.approx(0.705)
    assert row["test_accuracy"]["std"] == pytest.approx(0.005)
    grid, final = calls
    assert (grid["seeds"], grid["rates"]) == ([0, 0, 0], [0.01, 0.1, 1.0])
    assert (final["seeds"], final["rates"]) == ([0, 1], [0.1, 0.1])


def test_grid_is_recorded_with_both_accuracies(calls, folder):
    row = compete(competitor(grid_seeds=2), small_dataset(), folder)
    assert [own["lr"] for own in row["grid"]] == list(VALID)
    assert [own["valid"] for own in row["grid"]] == pytest.approx(list(VALID.values()))
    assert [own["mean"] for own in row["grid"]] == pytest.approx([v + 0.005 for v in TEST.values()])
    assert [own["diverged"] for own in row["grid"]] == [0, 0, 0]


def test_grid_that_ran_all_is_not_run_again(calls, folder):
    row = compete(competitor(grid_seeds=2), small_dataset(), folder)
    assert len(calls) == 1
    assert row["test_accuracy"]["per_seed"] == pytest.approx([0.7, 0.71])
    assert row["curve"]["test_accuracy"][-1] == pytest.approx([0.7, 0.71])


def test_short_grid_compresses_the_schedule(calls, folder):
    options = dataclasses.replace(OPTIONS, milestones=(4.0,), average_last=4, schedule="step")
    compete(competitor(options=options, grid_epochs=3), small_dataset(), folder)
    grid, final = (call["options"] for call in calls)
    assert (grid.epochs, grid.milestones, grid.average_last) == (3, (2.0,), 3)
    assert (final.epochs, final.milestones, final.average_last) == (6, (4.0,), 4)


def test_single_rate_is_taken_as_it_is(calls, folder):
    row = compete(competitor(rates=(1.0,)), small_dataset(), folder)
    assert len(calls) == 1
    assert (row["best_lr"], row["grid"], row["best_at_edge"]) == (1.0, [], False)


def test_best_at_the_edge_is_said(calls, folder):
    row = compete(competitor(rates=(0.1, 1.0)), small_dataset(), folder)
    assert (row["best_lr"], row["best_at_edge"]) == (0.1, True)


def test_grid_is_widened_while_the_best_lies_at_an_end(calls, folder):
    row = compete(competitor(rates=(0.001, 0.01), widen=3), small_dataset(), folder)
    assert [call["rates"] for call in calls[:-1]] == [[0.001, 0.01], [0.1], [1.0]]
    assert (row["best_lr"], row["best_at_edge"]) == (0.1, False)
    assert [own["lr"] for own in row["grid"]] == [0.001, 0.01, 0.1, 1.0]


def test_grid_is_widened_no_further_than_it_may_be(calls, folder):
    row = compete(competitor(rates=(0.01, 0.001), widen=1), small_dataset(), folder)
    assert [own["lr"] for own in row["grid"]] == [0.001, 0.01, 0.1]
    assert (row["best_lr"], row["best_at_edge"]) == (0.1, True)


def test_rate_beyond_the_grid_that_ran_all_is_not_run_again(calls, folder):
    own = competitor(rates=(0.001, 0.01), widen=3, grid_seeds=2)
    row = compete(own, small_dataset(), folder)
    assert len(calls) == 3
    assert row["test_accuracy"]["per_seed"] == pytest.approx([0.7, 0.71])


def test_rate_that_diverged_is_out(calls, folder):
    """Whatever its accuracy on the validation set was (0.99 here)."""
    row = compete(competitor(rates=(0.01, 0.1, 30.0)), small_dataset(), folder)
    assert row["best_lr"] == 0.1
    assert [own["diverged"] for own in row["grid"]] == [0, 0, 1]
    assert row["grid"][2]["mean"] is row["grid"][2]["valid"] is None


@pytest.mark.parametrize("grid_seeds", [1, 2])
def test_rule_that_diverged_at_every_rate_has_a_row_without_accuracy(calls, folder, grid_seeds):
    own = competitor(rates=(10.0, 30.0), grid_seeds=grid_seeds)
    row = compete(own, small_dataset(), folder)
    assert row["test_accuracy"] == {"mean": None, "std": None, "per_seed": [None, None]}
    assert row["diverged"] == dict.fromkeys(("0", "1"), "the loss is nan at step 3")
    assert folder.read_result() == row


def test_entrant_that_is_done_is_not_run_again(calls, folder):
    first = compete(competitor(), small_dataset(), folder)
    count = len(calls)
    again = compete(competitor(), small_dataset(), folder)
    assert again == folder.read_result()
    assert again["best_lr"] == first["best_lr"]
    assert len(calls) == count


# Whole comparisons

RULES = [("backprop", "backprop", Backprop()), ("shallow", "shallow", Shallow())]
SHARED = Protocol(options=OPTIONS, rates=tuple(VALID), seeds=(0, 1))


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setattr(compare_module.data, "load", lambda name: small_dataset())
    return SHARED


def test_rows_control_and_config(calls, folder, shared):
    result = compare(RULES, shared, folder=folder)
    assert [row["rule"] for row in result["rules"]] == ["backprop", "shallow"]
    assert result["control"] == result["rules"][1]
    assert folder.read_result()["seeds"] == [0, 1]
    config = folder.read_config()
    assert (config["command"], config["rates"]) == ("compare", [0.01, 0.1, 1.0])
    assert control_row(result["rules"][:1]) is None


def test_validation_is_kept_apart_where_nobody_asked(calls, folder, shared):
    plain = dataclasses.replace(shared, options=dataclasses.replace(OPTIONS, validation=0.0))
    compare(RULES, plain, folder=folder)
    assert {call["options"].validation for call in calls} == {0.1}


def test_resumed_comparison_runs_only_what_is_not_done(calls, folder, shared, monkeypatch):
    whole = compare(RULES, shared, folder=folder)
    folder.result_path.unlink()
    (folder.path / "parts" / "shallow" / "result.json").unlink()
    calls.clear()
    again = resume(folder)
    assert {call["rule"] for call in calls} == {"Shallow"}
    drop = {"seconds"}
    for mine, theirs in zip(again["rules"], whole["rules"], strict=True):
        assert {k: v for k, v in mine.items() if k not in drop} == {
            k: v for k, v in theirs.items() if k not in drop
        }


def test_finished_comparison_is_only_read(calls, folder, shared):
    compare(RULES, shared, folder=folder)
    calls.clear()
    assert resume(folder) == folder.read_result()
    assert calls == []


def test_every_rate_of_every_seed_is_one_replica(calls, folder):
    compete(competitor(grid_seeds=2), small_dataset(), folder)
    pairs = list(zip(calls[0]["seeds"], calls[0]["rates"], strict=True))
    assert len(set(pairs)) == len(pairs) == 6
    assert np.unique([rate for _, rate in pairs]).tolist() == [0.01, 0.1, 1.0]
