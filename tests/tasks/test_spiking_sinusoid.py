"""Sine curves in spikes: their distribution, the code of a point, and impossible options."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.tasks.spiking_sinusoid import SpikingSinusoid


def decoded(spikes):
    """x in [-5, 5] of spikes [points, time, channels]: their mean preferred value."""
    preferred = np.linspace(-5.0, 5.0, spikes.shape[-1])
    return (spikes.sum(1) @ preferred) / spikes.sum((1, 2))


def test_spikes_of_a_point_follow_the_tuning_curves(getkey):
    task = SpikingSinusoid(duration=4000, channels=11, width=0.01)
    u = jnp.asarray([[0.0], [0.33], [0.9]])
    spikes = np.asarray(task.spikes(u, key=getkey()))
    assert set(np.unique(spikes)) == {0.0, 1.0}
    for point, rate in zip([0.0, 0.33, 0.9], spikes.mean(1), strict=True):
        wanted = [np.exp(-((point - i / 10) ** 2) / 0.02) for i in range(11)]
        np.testing.assert_allclose(rate, wanted, atol=0.04)
    # Independent in time and between neurons.
    own = spikes[1] - spikes[1].mean(0)
    assert abs((own[1:, 3] * own[:-1, 3]).mean()) < 0.02
    assert abs((own[:, 2] * own[:, 4]).mean()) < 0.02


def test_all_points_lie_on_one_curve_of_the_distribution(getkey):
    task = SpikingSinusoid()
    drawn = jax.jit(jax.vmap(task.sample))(jr.split(getkey(), 100))
    drawn = jax.tree.map(np.asarray, drawn)
    amplitudes, phases, all_x = [], [], []
    for i in range(100):
        x = np.concatenate([drawn.stream.x[i, 0], drawn.query.x[i]])
        y = np.concatenate([drawn.stream.y[i, 0], drawn.query.y[i]])[:, 0]
        x = decoded(x)
        design = np.stack([np.sin(x), np.cos(x)], -1)
        (a, b), *_ = np.linalg.lstsq(design, y, rcond=None)
        amplitude = np.hypot(a, b)
        assert np.abs(design @ (a, b) - y).max() < 0.1 * amplitude
        amplitudes.append(amplitude)
        phases.append(np.arctan2(b, a))
        all_x.append(x)
    assert 0.09 < min(amplitudes) < 0.4 and 4.6 < max(amplitudes) <= 5.1
    assert np.mean(amplitudes) == pytest.approx(2.55, abs=0.4)
    assert -0.05 < min(phases) < 0.2 and 2.9 < max(phases) < np.pi + 0.05
    assert np.mean(phases) == pytest.approx(np.pi / 2, abs=0.25)
    assert np.mean(all_x) == pytest.approx(0.0, abs=0.2)
    assert np.std(all_x) == pytest.approx(10 / np.sqrt(12), abs=0.1)


def test_shapes_and_dtypes(getkey):
    task = SpikingSinusoid(shots=3, queries=4, channels=6, duration=5)
    assert task.input_shape == (5, 6) and task.outputs == 1
    episode = jax.eval_shape(task.sample, getkey())
    assert episode.stream.x.shape == (1, 3, 5, 6) and episode.stream.y.shape == (1, 3, 1)
    assert episode.query.x.shape == (4, 5, 6) and episode.query.y.shape == (4, 1)
    assert episode.stream.x.dtype == episode.query.y.dtype == jnp.float32
    assert episode.stream.target is None
    default = jax.eval_shape(SpikingSinusoid().sample, getkey())
    assert default.stream.x.shape == (1, 10, 20, 100) and default.query.x.shape == (10, 20, 100)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shots": 0}, "--task.shots 0"),
        ({"queries": 0}, "--task.queries 0"),
        ({"channels": 1}, "--task.channels 1"),
        ({"duration": 0}, "--task.duration 0"),
        ({"width": 0.0}, "--task.width 0.0"),
        ({"lowest": 6.0}, "swap them"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        SpikingSinusoid(**options)
