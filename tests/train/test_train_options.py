"""Options that cannot work are named before anything is run."""

import pytest

from metaplastic._errors import UsageError
from metaplastic.train import TrainOptions


def test_defaults_work():
    TrainOptions().check()


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"epochs": 0}, "--epochs 0: it must be positive"),
        ({"batch_size": -1}, "--batch-size -1: it must be positive"),
        ({"lr": 0.0}, "--lr 0.0: it must be positive"),
        ({"lr": float("nan")}, "--lr nan: it must be a finite number"),
        ({"clip": 0.0}, "--clip 0.0: it must be positive"),
        ({"resize": 0}, "--resize 0: it must be positive"),
        ({"lr": float("inf")}, "--lr inf: it must be a finite number"),
        ({"decay": float("nan")}, "--decay nan: it must be a finite number"),
        ({"milestones": (-5.0, 60.0)}, "--milestones -5: it must not be negative"),
        ({"checkpoint_every": 0}, "--checkpoint-every 0: it must be positive"),
        ({"average_last": 0}, "--average-last 0: it must be positive"),
        ({"momentum": 1.0}, "--momentum 1.0: it must be at least 0 and below 1"),
        ({"dropout": -0.1}, "--dropout -0.1: it must be at least 0 and below 1"),
        ({"weight_decay": -1e-4}, "--weight-decay -0.0001: it must not be negative"),
        ({"decay": -1.0}, "--decay -1.0: it must not be negative"),
        ({"validation": -1.0}, "--validation -1.0: it must not be negative"),
        ({"select": "best"}, "--select best needs a validation set: pass --validation 0.1"),
        ({"average_last": 21}, "--average-last 21 is more than --epochs 20"),
        (
            {"select": "best", "validation": 0.1, "average_last": 2},
            "--average-last goes with --select last",
        ),
    ],
)
def test_impossible_value_is_named(options, advice):
    with pytest.raises(UsageError) as error:
        TrainOptions(**options).check()
    assert advice in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("optimiser", "adma", "--optimiser adma: did you mean 'adam'?"),
        ("schedule", "cosin", "--schedule cosin: did you mean 'cosine'?"),
        ("input_range", "unti", "--input-range unti: did you mean 'unit'?"),
        ("activation", "rleu", "--activation rleu: did you mean 'relu'?"),
        ("norm", "bacth", "--norm bacth: did you mean 'batch'?"),
    ],
)
def test_unknown_word_is_named_with_the_nearest(name, value, advice):
    options = TrainOptions()
    setattr(options, name, value)
    with pytest.raises(UsageError) as error:
        options.check()
    assert str(error.value) == advice
