"""Quadratics as regressions: their matrices, minima and exact meta-gradients."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from settling import first
from toy_lifetimes import compiled

from metaplastic._errors import UsageError
from metaplastic.tasks.bilevel_quadratic import BilevelQuadratic, closed_form
from metaplastic.tasks.criteria import REGRESSION

TASK = BilevelQuadratic(6)


@pytest.fixture(scope="module")
def drawn():
    with jax.enable_x64(True):
        yield compiled(jax.vmap(TASK.sample))(jr.split(jr.key(0), 50))


def test_spectra_are_those_asked_for(x64, drawn):
    for x, (low, high) in ((drawn.stream.x[:, 0], (0.1, 2.0)), (drawn.query.x, (0.5, 1.5))):
        x = np.asarray(x)
        values = np.linalg.eigvalsh(2 / 6 * np.swapaxes(x, 1, 2) @ x)
        assert low <= values.min() < low + 0.1 and high - 0.1 < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.1)


def test_minima_are_standard_normal(x64, drawn):
    a = np.linalg.solve(drawn.stream.x[:, 0], drawn.stream.y[:, 0])
    b = np.linalg.solve(drawn.query.x, drawn.query.y)
    centres = np.concatenate([a, b]).ravel()
    assert abs(centres.mean()) < 0.15 and centres.std() == pytest.approx(1, abs=0.1)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.2


def test_closed_form_against_finite_differences(x64, drawn):
    episode = first(drawn)
    omega, strength = jr.normal(jr.key(1), (6,)), jnp.exp(jr.normal(jr.key(2), (6,)))

    def losses(phi):
        """Of a linear network, by the task's own criterion."""
        stream, query = episode.stream, episode.query
        learn = REGRESSION.loss(stream.x[0] @ phi[:, None], stream.y[0]).mean()
        return learn, REGRESSION.loss(query.x @ phi[:, None], query.y).mean()

    found = compiled(closed_form)(episode, omega, strength)

    def learn_loss(phi):
        return losses(phi)[0] + 0.5 * jnp.sum(strength * (phi - omega) ** 2)

    slope = compiled(jax.grad(learn_loss))(found.minimum)
    assert jnp.abs(slope).max() < 1e-13

    def evaluated(theta):
        return losses(closed_form(episode, theta[0], theta[1]).minimum)[1]

    evaluated = compiled(evaluated)
    theta = jnp.stack([omega, strength])
    for row, exact in enumerate((found.consolidated, found.strength)):
        for i in range(6):
            ends = [evaluated(theta.at[row, i].add(sign * 1e-5)) for sign in (1, -1)]
            assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(float(exact[i]), abs=1e-8)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dimension": 0}, "--task.dimension 0: at least 1"),
        ({"learn_spectrum": (0.0, 1.0)}, "--task.learn-spectrum 0.0 1.0: give the smaller"),
        ({"eval_spectrum": (2.0, 1.0)}, "--task.eval-spectrum 2.0 1.0: give the smaller"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        BilevelQuadratic(**options)
