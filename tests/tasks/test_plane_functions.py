"""Functions of the plane: where their classes lie, their moments, and impossible options."""

import numpy as np
import pytest
from toy_lifetimes import compiled

from metaplastic._errors import UsageError
from metaplastic.tasks._plane import FUNCTIONS, randomness
from metaplastic.tasks.plane_functions import PlaneFunctions

INSIDE = {
    "and": lambda x, y: x > 0 and y > 0,
    "or": lambda x, y: x > 0 or y > 0,
    "nand": lambda x, y: x <= 0 or y <= 0,
    "nor": lambda x, y: x <= 0 and y <= 0,
    "xor": lambda x, y: (x > 0) != (y > 0),
    "nxor": lambda x, y: (x > 0) == (y > 0),
    "rotated_and": lambda x, y: abs(np.arctan2(y, x) - np.pi / 2) < np.pi / 4,
    "rotated_xor": lambda x, y: (y > x) != (y > -x),
    "cross": lambda x, y: -0.3 < x < 0.3 or -0.3 < y < 0.3,
    "triangle": lambda x, y: y > -0.5 and y < 1 - x and y < 1 + x,
    "slice": lambda x, y: -np.pi / 4 < np.arctan2(y, x) < np.pi / 4,
    "circle": lambda x, y: np.hypot(x, y) < 0.6,
    "square": lambda x, y: max(abs(x), abs(y)) < 0.6,
    "ring": lambda x, y: 0.45 < np.hypot(x, y) < 0.9,
    "blobs": lambda x, y: np.hypot(x, y) < 0.5,
    "circles": lambda x, y: np.hypot(x, y) < 0.625,
}
APPROXIMATE = {"blobs": 0.9, "circles": 0.95}


@pytest.mark.parametrize("name", sorted(INSIDE))
def test_where_the_classes_lie(name, getkey):
    x, second = map(np.asarray, FUNCTIONS[name](*randomness(getkey(), 500)))
    told = np.array([bool(INSIDE[name](*point)) for point in x])
    assert (told == second).mean() >= APPROXIMATE.get(name, 1)
    assert 0.1 < second.mean() < 0.9
    assert np.abs(x).max() <= 1 or name in APPROXIMATE


def test_two_moons(getkey):
    """Two arcs within the square that no line parts."""
    x, second = map(np.asarray, FUNCTIONS["two_moons"](*randomness(getkey(), 2000)))
    assert 0.45 < second.mean() < 0.55
    assert np.abs(x).max() < 1.5 and np.abs(x).mean() < 0.7
    design = np.concatenate([x, np.ones((2000, 1))], 1)
    signs = np.where(second, 1, -1)
    line = np.sign(design @ np.linalg.lstsq(design, signs, rcond=None)[0])
    assert 0.75 < (line == signs).mean() < 0.95
    nearest = np.linalg.norm(x[:500, None] - x[None, 500:], axis=-1).argmin(1)
    assert (second[500:][nearest] == second[:500]).mean() > 0.95


def test_every_function_is_listed():
    assert set(INSIDE) | {"two_moons"} == set(FUNCTIONS)
    for name in FUNCTIONS:
        assert name in (PlaneFunctions.__doc__ or "")


def test_moments_are_fresh_batches_of_one_function(getkey):
    task = PlaneFunctions(functions=("and", "nand"), moments=4, batch=30, queries=50)
    sample, seen = compiled(task.sample), []
    for _ in range(8):
        episode = sample(getkey())
        stream, query = episode.stream, episode.query
        assert stream.x.shape == stream.y.shape == (4, 30, 2) and stream.target is None
        assert query.x.shape == query.y.shape == (50, 2)
        x = np.concatenate([stream.x.reshape(-1, 2), query.x])
        y = np.concatenate([stream.y.reshape(-1, 2), query.y])
        assert len(np.unique(x, axis=0)) == 170
        assert np.array_equal(y[:, 0], -y[:, 1]) and set(np.unique(y)) == {-1, 1}
        both = (x > 0).all(1)
        seen.append("and" if y[both, 1].min() > 0 else "nand")
        assert np.array_equal(y[:, 1] > 0, both if seen[-1] == "and" else ~both)
    assert set(seen) == {"and", "nand"}


def test_other_functions_are_held_out(getkey):
    task = PlaneFunctions(functions=("and",), held=("or", "cross"), batch=5)
    assert task.held_out().functions == ("or", "cross")
    assert task.held_out().batch == 5
    y = task.sample(getkey()).query.y
    assert float(task.criterion.loss(y, y).max()) == 0
    assert float(task.criterion.score(-y, y).max()) == 0 and task.criterion.higher_is_better
    assert task.criterion.loss(y + 1, y).tolist() == [1.0] * len(y)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"functions": ("xorr",)}, "unknown function of the plane 'xorr': did you mean 'xor'?"),
        ({"held": ("moons",)}, "did you mean 'two_moons'?"),
        ({"functions": ()}, "--task.functions: name at least one"),
        ({"moments": 0}, "--task.moments 0"),
        ({"batch": 0}, "--task.batch 0"),
        ({"queries": 0}, "--task.queries 0"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        PlaneFunctions(**options)
