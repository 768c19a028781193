"""Options of meta-training: what cannot work is said in one sentence."""

import pytest

from metaplastic._errors import UsageError
from metaplastic.train.meta_options import Group, MetaOptions


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "--steps 0: it must be positive"),
        ({"meta_batch": 0}, "--meta-batch 0: it must be positive"),
        ({"lr": float("nan")}, "--lr nan: it must be positive"),
        ({"frozen_last": 10, "steps": 10}, "--frozen-last 10 leaves nothing of --steps 10"),
        ({"group": ("state",)}, "--group state: write path=rate"),
        ({"group": ("state=fast",)}, "--group state=fast: write path=rate"),
        ({"group": ("state=adm:1",)}, "unknown optimiser 'adm': did you mean 'adam'?"),
        ({"group": ("state=-1",)}, "--group state=-1: the rate must not be negative"),
        ({"clip": -1.0}, "--clip -1.0: it must be positive"),
    ],
)
def test_impossible_values(fields, message):
    with pytest.raises(UsageError) as error:
        MetaOptions(**fields).check()
    assert str(error.value).startswith(message)


def test_groups_are_read():
    options = MetaOptions(optimiser="momentum", group=("state=1e-5", "*.bias=sgd:0.1"))
    expected = [Group("state", "momentum", 1e-5), Group("*.bias", "sgd", 0.1)]
    assert options.groups() == expected


def test_a_record_is_a_hundredth():
    assert [MetaOptions(steps=n).chunk for n in (5, 100, 1000)] == [1, 1, 10]
    assert MetaOptions(record_every=7).chunk == 7
