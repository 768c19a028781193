import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.learners.lifetime import live
from metaplastic.learners.online import OnlineLearner
from metaplastic.models import mlp
from metaplastic.rules.flp import FLP
from metaplastic.tasks.base import Episode, Stream
from metaplastic.tasks.sinusoid_sequence import SinusoidSequence

SMALL = SinusoidSequence(functions=3, batches=5, shots=4, queries=6)


@eqx.filter_jit
def sample(task, key):
    return task.sample(key)


@eqx.filter_jit
def samples(task, count):
    return jax.vmap(task.sample)(jr.split(jr.key(0), count))


def curves(x, y, functions):
    """Amplitude and phase of each curve, by least squares over its points; they must lie on it."""
    x, y = np.asarray(x, np.float64).reshape(-1, functions + 1), np.asarray(y).reshape(-1)
    assert (x[:, :-1].sum(1) == 1).all()
    assert (abs(x[:, -1]) <= 5).all()
    found = []
    for function in range(functions):
        own = x[:, function] == 1
        basis = np.stack([np.sin(x[own, -1]), np.cos(x[own, -1])], 1)
        parts, residual, *_ = np.linalg.lstsq(basis, y[own])
        assert residual < 1e-9
        found.append((np.hypot(*parts), np.arctan2(parts[1], parts[0])))
    return np.array(found)


def test_points_lie_on_sine_curves_which_the_cue_tells_apart():
    episode = sample(SMALL, jr.key(0))
    assert episode.stream.x.shape == (15, 4, 4)
    assert episode.stream.y.shape == (15, 4, 1)
    assert episode.query.x.shape == (18, 4)
    assert episode.stream.mask is None
    told = curves(episode.stream.x, episode.stream.y, 3)
    assert np.allclose(told, curves(episode.query.x, episode.query.y, 3), atol=1e-5)
    assert (episode.query.x[:, :3].argmax(-1) == jnp.repeat(jnp.arange(3), 6)).all()


def test_amplitudes_phases_and_the_best_that_does_not_learn():
    task = SinusoidSequence(functions=5, batches=1, shots=8, queries=40)
    episodes = samples(task, 400)
    asked = episodes.query.x, episodes.query.y
    found = np.concatenate([curves(x, y, 5) for x, y in zip(*map(np.asarray, asked), strict=True)])
    assert found[:, 0].min() >= 0.1 - 1e-3
    assert found[:, 0].max() < 5.1 + 1e-3
    assert abs(found[:, 0].mean() - 2.6) < 0.15
    assert found[:, 1].min() > -1e-2
    assert found[:, 1].max() < np.pi + 1e-2
    y, x = np.asarray(episodes.query.y)[..., 0], np.asarray(episodes.query.x)[..., -1]
    assert np.square(y - 2.6 * 2 / np.pi * np.cos(x)).mean() == pytest.approx(3.13, rel=0.05)


def test_orders():
    own = sample(SMALL, jr.key(1)).stream.x[:, 0, :3].argmax(-1)
    assert (own == jnp.repeat(jnp.arange(3), 5)).all()
    mixed = sample(dataclasses.replace(SMALL, order="iid"), jr.key(1)).stream.x
    assert (mixed[..., :3] == mixed[:, :1, :3]).all()  # a batch still holds one curve
    mixed = mixed[:, 0, :3].argmax(-1)
    assert (jnp.sort(mixed) == own).all()
    assert (mixed != own).any()


def test_a_pool_of_curves():
    task = dataclasses.replace(SMALL, pool=4)
    episodes = [sample(task, jr.key(seed)) for seed in range(12)]
    met = {round(float(a), 3) for e in episodes for a, _ in curves(e.query.x, e.query.y, 3)}
    assert len(met) == 4
    new = sample(task.held_out(), jr.key(0))
    assert not met & {round(float(a), 3) for a, _ in curves(new.query.x, new.query.y, 3)}
    other = sample(dataclasses.replace(task, pool_seed=1), jr.key(0))
    assert not met & {round(float(a), 3) for a, _ in curves(other.query.x, other.query.y, 3)}


def test_lengths_vary_and_shapes_do_not():
    task = SinusoidSequence(functions=2, batches=20, shots=1, queries=1, vary_length=True)
    masks = np.asarray(samples(task, 300).stream.mask)
    each = masks.reshape(300, 2, 20)
    assert (each[:, 0] == each[:, 1]).all()
    assert (np.diff(each.astype(int), axis=-1) <= 0).all()
    counts = each[:, 0].sum(-1)
    assert (counts.min(), counts.max()) == (2, 20)
    assert set(counts) == set(range(2, 21))
    stream = sample(dataclasses.replace(task, order="iid"), jr.key(3)).stream
    first = stream.x[:, 0, 0] == 1
    assert stream.mask[first].sum() == stream.mask[~first].sum() == stream.mask.sum() // 2


def test_a_masked_lifetime_is_a_shorter_one(getkey):
    task = dataclasses.replace(SMALL, vary_length=True)
    episode = next(
        own
        for own in (sample(task, key) for key in jr.split(jr.key(0), 9))
        if 0 < own.stream.mask.sum() < 12
    )
    stream, kept = episode.stream, np.flatnonzero(episode.stream.mask)
    short = Episode(
        Stream(stream.x[kept], stream.y[kept], None, None), episode.query, task.criterion
    )
    rule = FLP(loss="squared_error", plasticity=1e-3, hebb_once=True)
    model = mlp((4,), 1, hidden=(6,), key=getkey())
    learner, key = OnlineLearner(model, rule, rate=1.0, key=getkey()), getkey()
    loss = jax.jit(lambda own: live(learner, own, key=key).loss)
    assert float(loss(episode)) == pytest.approx(float(loss(short)), rel=1e-6)
    whole = eqx.tree_at(lambda own: own.stream.mask, episode, jnp.ones_like(stream.mask))
    assert abs(float(loss(whole)) - float(loss(short))) > 1e-4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"functions": 0}, r"--task.functions 0: at least 1"),
        ({"batches": 0}, r"--task.batches 0: at least 1"),
        ({"pool": 5}, r"--task.pool 5: a lifetime takes 10 different curves"),
        ({"lowest": 6.0}, r"--task.lowest 6.0 is above --task.highest 5.1"),
    ],
)
def test_impossible_options_are_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        SinusoidSequence(**options)
