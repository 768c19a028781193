"""Truncated gradients: between first order (no moments) and the unrolled one (all of them)."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import assert_close
from toy_lifetimes import compiled, episodes, flat, leaky

from metaplastic._errors import UsageError
from metaplastic.meta.truncated import Truncated
from metaplastic.meta.unrolled import Unrolled

T = 7


@pytest.fixture
def lived(x64, getkey):
    """A learner and three lifetimes of `T` moments that are judged at every moment and the end."""
    x = jr.normal(getkey(), (3, T, 2))
    return leaky(), episodes(x, target=jnp.roll(x, 1, 1), asked=0.3 * x[:, 0]), getkey()


@pytest.mark.parametrize("initial", ["identity", "cut"])
@pytest.mark.parametrize("steps", [T, T + 5])
def test_a_part_as_long_as_the_lifetime_is_unrolled(lived, steps, initial):
    learner, batch, key = lived
    expected, before = compiled(Unrolled())(learner, batch, key=key)
    gradient, aux = compiled(Truncated(steps=steps, initial=initial))(learner, batch, key=key)
    assert_close(gradient, expected, 0.0)
    assert bool((aux.loss == before.loss).all())


def by_hand(learner, batch, steps, initial):
    """The derivative of every loss through its own part, with NumPy: d life / d start is the
    decay to the power of the moments since the cut, and 1 or 0 across it."""
    start, decay, gain = (np.asarray(own) for own in (learner.start, learner.decay, learner.gain))
    grads = np.zeros((3, 2))
    for x, target, asked in zip(
        np.asarray(batch.stream.x[:, :, 0]),
        np.asarray(batch.stream.target[:, :, 0]),
        np.asarray(batch.query.y[:, 0]),
        strict=True,
    ):
        lives = [start]
        for own in x:
            lives.append(decay * lives[-1] + gain * own)
        for t in range(T + 1):
            slope = 2 * (lives[t] - (target[t] if t < T else asked))
            # Parts are counted from the end; the life at t is an output of the moment t, which
            # belongs to the part that begins at `cut`; the question, to the last part.
            moment = min(t, T - 1)
            cut = max(T - steps * ((T - 1 - moment) // steps + 1), 0)
            along = np.zeros((3, 2))  # of start, decay, gain
            along[0] = 1.0 if cut == 0 or initial == "identity" else 0.0
            for s in range(cut, t):
                along = decay * along
                along[1] += lives[s]
                along[2] += x[s]
            grads += slope * along / 3
    return grads


@pytest.mark.parametrize("initial", ["identity", "cut"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_parts_by_hand(lived, steps, initial):
    learner, batch, key = lived
    gradient = compiled(Truncated(steps=steps, initial=initial))(learner, batch, key=key)[0]
    assert np.allclose(flat(gradient), by_hand(learner, batch, steps, initial).ravel(), rtol=1e-12)


def test_cut_leaves_no_gradient_of_the_start_where_the_end_alone_is_judged(x64, getkey):
    batch = episodes(jr.normal(getkey(), (2, T, 2)), asked=jnp.ones((2, 2)))
    for initial, reached in (("cut", False), ("identity", True)):
        gradient = compiled(Truncated(steps=2, initial=initial))(leaky(), batch, key=getkey())[0]
        assert bool((gradient.start != 0).all()) == reached
        assert bool((gradient.decay != 0).all())


def test_many_short_parts_need_little_memory(getkey):
    batch = episodes(jr.normal(getkey(), (1, 900, 1)), asked=jnp.ones((1, 50)))
    program = jax.jit(Truncated(steps=2)).lower(leaky(size=50), batch, key=getkey())
    needed = program.compile().memory_analysis().temp_size_in_bytes
    program = jax.jit(Unrolled(rematerialise="none")).lower(leaky(size=50), batch, key=getkey())
    assert needed < 0.4 * program.compile().memory_analysis().temp_size_in_bytes


def test_impossible_steps():
    with pytest.raises(UsageError, match="steps 0: at least"):
        Truncated(steps=0)
