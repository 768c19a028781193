"""Sine curves: their distribution, the points of a moment, and impossible options."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.tasks.sinusoid import Sinusoid


def fitted(x, y):
    """Amplitude and phase of a sin(x - phi), by least squares on sin and cos."""
    design = np.concatenate([np.sin(x), np.cos(x)], -1)
    (a, b), residual, *_ = np.linalg.lstsq(design, y[:, 0], rcond=None)
    return np.hypot(a, b), np.arctan2(-b, a), residual


def test_all_points_lie_on_one_curve_of_the_distribution(x64, getkey):
    task = Sinusoid(shots=6, moments=2, queries=7, repeat=False)
    drawn = jax.jit(jax.vmap(task.sample))(jr.split(getkey(), 400))
    amplitudes, phases = [], []
    for i in range(400):
        x = np.concatenate([drawn.stream.x[i].reshape(-1, 1), drawn.query.x[i]])
        y = np.concatenate([drawn.stream.y[i].reshape(-1, 1), drawn.query.y[i]])
        amplitude, phase, residual = fitted(x, y)
        assert residual.sum() < 1e-20
        amplitudes.append(amplitude)
        phases.append(phase)
    assert 0.1 <= min(amplitudes) < 0.3 and 4.8 < max(amplitudes) <= 5.0
    assert np.mean(amplitudes) == pytest.approx(2.55, abs=0.2)
    assert -1e-9 <= min(phases) < 0.1 and 3.0 < max(phases) < np.pi
    assert np.mean(phases) == pytest.approx(np.pi / 2, abs=0.15)


def test_points(getkey):
    for repeat in (True, False):
        task = Sinusoid(shots=6, moments=3, queries=7, repeat=repeat)
        episode = task.sample(getkey())
        assert episode.stream.x.shape == episode.stream.y.shape == (3, 6, 1)
        assert episode.query.x.shape == episode.query.y.shape == (7, 1)
        assert episode.stream.target is None
        assert bool((episode.stream.x[0] == episode.stream.x[1]).all()) == repeat
        assert float(jnp.abs(episode.stream.x).max()) <= 5.0
        assert len(jnp.unique(jnp.concatenate([episode.stream.x[0], episode.query.x]))) == 13


def test_an_amplitude_may_be_fixed(getkey):
    episode = Sinusoid(lowest=2.0, highest=2.0, queries=500).sample(getkey())
    assert float(jnp.abs(episode.query.y).max()) == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shots": 0}, "--task.shots 0"),
        ({"moments": 0}, "--task.moments 0"),
        ({"queries": 0}, "--task.queries 0"),
        ({"lowest": 6.0}, "swap them"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        Sinusoid(**options)
