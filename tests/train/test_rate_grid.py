"""Grids of learning rates that go on beyond their ends."""

import dataclasses

import numpy as np
import pytest

from metaplastic.train.rate_grid import best_of, beyond, search


@dataclasses.dataclass(frozen=True)
class Tried:
    rate: float
    score: float


def tried_by(score, calls):
    def run(rates, name):
        calls.append((name, tuple(rates)))
        return [Tried(rate, score(rate)) for rate in rates]

    return run


@pytest.mark.parametrize(
    ("rates", "scores", "further"),
    [
        ((0.03, 0.1, 0.3), (0.1, 0.2, 0.3), 1.0),
        ((0.1, 0.3, 1.0), (0.1, 0.2, 0.3), 3.0),
        ((0.0003, 0.001, 0.003), (0.3, 0.2, 0.1), 0.0001),
        ((0.5, 1.0), (0.1, 0.2), 2.0),
        ((0.03, 0.1, 0.3), (0.1, 0.3, -np.inf), None),
        ((0.1, 0.3), (-np.inf, -np.inf), None),
        ((0.1,), (0.5,), None),
    ],
)
def test_steps_of_the_grid_go_on_beyond_its_ends(rates, scores, further):
    assert beyond(rates, scores) == further


def test_the_search_stops_when_the_best_lies_between_others():
    calls = []
    found = search((0.01, 0.001), 5, tried_by(lambda rate: -abs(np.log10(rate)), calls))
    assert calls == [("grid", (0.01, 0.001)), *((f"grid-{r:g}", (r,)) for r in (0.1, 1.0, 10.0))]
    assert [own.rate for own in found] == [0.001, 0.01, 0.1, 1.0, 10.0]
    assert best_of(found).rate == 1.0


@pytest.mark.parametrize("widen", [0, 1, 2])
def test_the_search_goes_no_further_than_it_may(widen):
    calls = []
    found = search((0.01, 0.1), widen, tried_by(lambda rate: -rate, calls))
    assert len(calls) == 1 + widen
    assert best_of(found).rate == pytest.approx(0.01 / 10**widen)


def test_a_rate_that_diverges_ends_the_search():
    run = tried_by(lambda rate: rate if rate < 0.5 else -np.inf, [])
    assert best_of(search((0.01, 0.1), 3, run)).rate == 0.1
