"""The accuracy that a run reports: which epoch, and how the seeds are summed up."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic.train import Outcome, TrainOptions
from metaplastic.train.divergence import Divergence
from metaplastic.train.run import accuracies, protocol, summary
from metaplastic.train.trainer import Replica

TEST = [[0.1, 0.1], [0.5, 0.2], [0.9, 0.3], [0.7, 0.8]]
VALID = [[0.9, 0.9], [0.2, 0.6], [0.3, 0.4], [0.3, 0.5]]


def outcome(diverged=()) -> Outcome:
    """Two seeds, three epochs and the start."""
    records = [
        {"epoch": epoch, "test_accuracy": test, "valid_accuracy": valid}
        for epoch, (test, valid) in enumerate(zip(TEST, VALID, strict=True))
    ]
    found = {replica: Divergence(1, "the loss", "nan") for replica in diverged}
    state = Replica((), (), (), jr.key(0), jnp.ones(2))
    return Outcome(records, state, found)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.7, 0.8]),
        ({"average_last": 2}, [0.8, 0.55]),
        ({"average_last": 3}, [0.7, 1.3 / 3]),
        # Best on validation, the start left out; the first of several that are equal.
        ({"select": "best", "validation": 0.1}, [0.9, 0.2]),
    ],
)
def test_reported_epoch(options, expected):
    np.testing.assert_allclose(accuracies(outcome(), TrainOptions(**options)), expected)


def test_replica_that_diverged_has_no_accuracy():
    values = accuracies(outcome(diverged=[1]), TrainOptions())
    np.testing.assert_array_equal(values, [0.7, np.nan])


def test_run_that_ended_before_its_first_epoch_has_none():
    own = outcome()
    own.records = own.records[:1]
    assert np.isnan(accuracies(own, TrainOptions())).tolist() == [True, True]


def test_summary_over_seeds():
    shown = summary(outcome(), TrainOptions())
    assert shown["mean"] == pytest.approx(0.75)
    assert shown["std"] == pytest.approx(0.05)
    assert shown["per_seed"] == [0.7, 0.8]


def test_protocol_says_which_epoch_was_taken():
    texts = {
        protocol(TrainOptions(**options))["selection"]
        for options in ({}, {"average_last": 5}, {"select": "best", "validation": 0.2})
    }
    assert texts == {
        "test accuracy after the last epoch",
        "mean test accuracy of the last 5 epochs",
        "test accuracy at the epoch of the best validation accuracy",
    }
