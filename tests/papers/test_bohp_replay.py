"""The published runs of Miconi (2016) come out again, from their random numbers."""

import os
from pathlib import Path

import numpy as np
import pytest

from metaplastic.papers._bohp_protocol import COMPLETION, ONE_SHOT, PROTOCOLS, REVERSAL
from metaplastic.papers._bohp_replay import draw, replay

pytestmark = pytest.mark.usefixtures("optimised")

# Errors of run 0, from the result series published with the code (eight decimals).
ANCHORS = {
    "pattern_completion": {
        0: 7.24866595,
        1: 8.40556354,
        100: 5.34843247,
        500: 0.10999433,
        1000: 0.00663117,
    },
    "one_shot": {
        0: 0.67071701,
        1: 0.65481176,
        100: 0.61697339,
        500: 0.58956486,
        1000: 0.46349920,
        2000: 0.22351642,
    },
    "reversal": {
        0: 0.61673151,
        1: 0.61649708,
        100: 0.60771205,
        500: 0.11972498,
        1000: 0.19985410,
        2000: 0.00512885,
    },
}
SERIES_GAMMA = {"pattern_completion": 0.5, "one_shot": 0.98, "reversal": 0.98}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_points_of_the_published_series(name):
    points = ANCHORS[name]
    run = replay(PROTOCOLS[name], [0], gamma=SERIES_GAMMA[name], episodes=max(points) + 1)
    ours = run.error[0, list(points)]
    np.testing.assert_allclose(ours, list(points.values()), atol=5.1e-9, rtol=0)


def test_the_exact_gradient_is_not_what_was_published():
    run = replay(COMPLETION, [0], gamma=0.5, episodes=101, gradient="exact")
    points = ANCHORS["pattern_completion"]
    assert abs(run.error[0, 0] - points[0]) < 1e-8  # the same network and pattern
    assert abs(run.error[0, 100] - points[100]) > 1e-3


def test_draws_are_of_the_authors_kind():
    draws = draw(ONE_SHOT, 3, 400)
    assert set(np.unique(draws.patterns)) == {-1, 1} and draws.patterns.shape == (400, 2, 8)
    assert (draws.patterns[:, 0] != draws.patterns[:, 1]).any(1).all()
    assert draws.w.shape == (10, 2) and (draws.v >= 0).all()
    assert len(np.unique(draw(COMPLETION, 3, 400).kept)) == 8


@pytest.mark.data
@pytest.mark.parametrize(
    "name, series, episodes",
    [
        ("pattern_completion", "completion", 4990),
        # Later on rounding grows: units are saturated, and a sign decides each step of decay.
        ("one_shot", "oneshot", 4500),
        ("reversal", "reversal", 4780),
    ],
)
def test_whole_published_series(name, series, episodes):
    path = Path(os.environ["METAPLASTIC_DATA"]) / "bohp_errors.npz"
    if not path.exists():
        pytest.skip(f"no {path.name} in METAPLASTIC_DATA")
    with np.load(path, allow_pickle=False) as file:
        published = file[series][:episodes]
    run = replay(PROTOCOLS[name], [0], gamma=SERIES_GAMMA[name])
    assert abs(run.error[0, :episodes] - published).max() < 1e-10


def _medians(run, points):
    """Median over runs, mean over 20 episodes from each point."""
    median = np.median(run.error, axis=0)
    return [median[point : point + 20].mean() for point in points]


@pytest.mark.slow
@pytest.mark.parametrize(
    "protocol, gamma, points, solved",
    [
        (COMPLETION, 0.75, {0: 8.23, 100: 5.93, 200: 3.50, 500: 0.819, 1000: 0.099}, 15),
        (COMPLETION, 0.5, {0: 8.19, 100: 4.56, 200: 1.77, 500: 0.177, 1000: 0.0106}, 11),
        (ONE_SHOT, 0.98, {0: 0.693, 400: 0.634, 600: 0.449, 1000: 0.156}, 20),
        (REVERSAL, 0.98, {0: 0.616, 400: 0.353, 600: 0.214, 1000: 0.109}, 15),
    ],
)
def test_the_twenty_published_runs(protocol, gamma, points, solved):
    """Medians are those of an independent implementation of the same runs."""
    run = replay(protocol, range(20), gamma=gamma)
    np.testing.assert_allclose(_medians(run, points), list(points.values()), rtol=0.01)
    last = run.metric[:, -500:].mean(1)
    count = (last == 0).sum() if protocol is COMPLETION else (last > 0.96).sum()
    assert abs(count - solved) <= 1
