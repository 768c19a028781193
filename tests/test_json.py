"""JSON is strict and made of plain values."""

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from metaplastic._json import dumps


@dataclasses.dataclass
class Point:
    x: float
    where: Path


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": float("nan")}, {"a": None}),
        ([float("inf"), -float("inf"), 1.5], [None, None, 1.5]),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, np.nan], [2.0, np.inf]]), [[1.0, None], [2.0, None]]),
        (jnp.arange(3), [0, 1, 2]),
        (Point(1.0, Path("a/b")), {"x": 1.0, "where": "a/b"}),
        ({1: (True, None)}, {"1": [True, None]}),
    ],
)
def test_values_become_plain(value, expected):
    assert json.loads(dumps(value)) == expected


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError, match="object has no JSON form"):
        dumps({"a": object()})
