"""The optimiser of Miconi (2016) against its equations, element by element."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from metaplastic.train._clipped_rms import clipped_rms


def test_steps_are_the_equations(x64, getkey):
    eta, largest, l1, l2 = 0.03, 0.05, 1e-3, 1e-2
    theta = {"w": jr.normal(getkey(), (3, 2)), "bias": jr.normal(getkey(), (2,))}
    optimiser = clipped_rms(
        eta, largest, l1, l2, decay_where=lambda tree: {name: name == "w" for name in tree}
    )
    state, update = optimiser.init(theta), jax.jit(optimiser.update)
    expected, square = jax.tree.map(np.array, theta), {}
    clips = 0
    for moment in range(6):
        # A gradient that grows makes steps of more than eta, which are clipped.
        gradient = {
            name: 3.0**moment * jr.normal(getkey(), own.shape) for name, own in theta.items()
        }
        steps, state = update(gradient, state, theta)
        theta = optax.apply_updates(theta, steps)
        for name, g in gradient.items():
            g = np.array(g)
            square[name] = g**2 if moment == 0 else square[name] + 0.01 * (g**2 - square[name])
            step = -eta * g / np.sqrt(square[name] + 1e-8)
            clips += (abs(step) > largest).sum()
            expected[name] += step.clip(-largest, largest)
            if name == "w":
                expected[name] -= l1 * np.sign(expected[name]) + l2 * expected[name]
            np.testing.assert_allclose(theta[name], expected[name], rtol=1e-12)
    assert clips > 5


def test_all_decay_by_default(getkey):
    theta = jnp.array([2.0, -2.0, 0.0])
    optimiser = clipped_rms(0.1, 0.1, l1=0.01, l2=0.1)
    steps, _ = optimiser.update(jnp.zeros(3), optimiser.init(theta), theta)
    np.testing.assert_allclose(steps, [-0.21, 0.21, 0.0], rtol=1e-6)
