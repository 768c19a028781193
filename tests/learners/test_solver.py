"""How phases settle: optimisers, when they stop, Newton's method, and the examples of a step."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from toy_lifetimes import compiled

from metaplastic._errors import UsageError
from metaplastic.learners.solver import Batch, Solver, draw

CURVATURE = jnp.array([0.5, 1.0, 2.0])
MINIMUM = jnp.array([1.0, -2.0, 3.0])


def objective(phi):
    away = phi - MINIMUM.astype(phi.dtype)
    return 0.5 * jnp.sum(CURVATURE.astype(phi.dtype) * away**2) + jnp.sum(away**4)


def minimise(solver, rate=0.1):
    def slope(phi, key):
        del key
        return jax.grad(objective)(phi)

    def run(start):
        return solver.minimise(slope, objective, start, rate, key=jr.key(0))[0]

    return np.asarray(compiled(run)(jnp.zeros(3)))


def test_steps_are_those_of_optax(x64):
    makers = {
        "nesterov": lambda: optax.sgd(0.003, momentum=0.9, nesterov=True),
        "momentum": lambda: optax.sgd(0.003, momentum=0.9),
        "adamw": lambda: optax.adamw(0.003),
    }
    for name, make in makers.items():
        own = make()
        phi = jnp.zeros(3)
        state = own.init(phi)
        for _ in range(3):
            with jax.numpy_dtype_promotion("standard"):
                step, state = own.update(jax.grad(objective)(phi), state, phi)
            phi = phi + step
        np.testing.assert_allclose(minimise(Solver(name, 3), 0.003), phi, rtol=1e-12)


def test_until_stops_where_the_slope_is_small(x64):
    few = minimise(Solver("sgd", 10_000, until=1e-2), 0.005)
    far = np.abs(jax.grad(objective)(jnp.asarray(few))).max()
    assert 0.9e-2 < far <= 1e-2
    # The steps are a limit.
    np.testing.assert_array_equal(
        minimise(Solver("sgd", 3, until=1e-9), 0.005), minimise(Solver("sgd", 3), 0.005)
    )


@pytest.mark.parametrize("solver", [Solver("sgd", 0, newton=25), Solver("bfgs", 100, until=1e-9)])
def test_second_order_methods_find_the_minimum(x64, solver):
    np.testing.assert_allclose(minimise(solver), MINIMUM, rtol=1e-4)
    assert not solver.fixed


def test_a_phase_that_loses_its_slope_does_not_pass_for_one_that_settled():
    """x^4 at a rate that diverges: the slope is infinite, then NaN, where phi is still finite."""

    def slope(phi, key):
        del key
        return jnp.where(jnp.abs(phi) > 1e3, jnp.nan, phi**3)

    def end(solver):
        return solver.minimise(slope, None, jnp.ones(2), 3.0, key=jr.key(0))[0]

    assert np.isnan(end(Solver("sgd", 100, until=1e-6))).all()


@pytest.mark.parametrize("name", ["nadam", "lion", "adagrad"])
def test_any_optimiser_with_a_rate_and_a_slope(name):
    assert np.isfinite(minimise(Solver(name, 3), 0.01)).all()


@pytest.mark.parametrize("name", ["adafactor", "adam"])
def test_slopes_that_are_zero_have_a_derivative(name):
    solver = Solver(name, 3)

    def end(start):
        def slope(phi, key):
            del key
            return phi * jnp.array([0.0, 1.0])

        phi = solver.minimise(slope, None, start, 0.01, key=jr.key(0))[0]
        return phi.sum()

    assert np.isfinite(jax.grad(end)(jnp.ones(2))).all()


def test_examples_are_drawn_without_replacement():
    whole = Batch(jnp.arange(8.0)[:, None], -jnp.arange(8.0)[:, None])

    def many(keys):
        return jax.vmap(lambda key: draw(whole, 5, key=key))(keys)

    drawn = compiled(many)(jr.split(jr.key(0), 200))
    x = np.asarray(drawn.x[..., 0])
    assert (np.sort(x, 1)[:, 1:] > np.sort(x, 1)[:, :-1]).all()
    np.testing.assert_array_equal(x, -np.asarray(drawn.y[..., 0]))
    np.testing.assert_allclose(np.bincount(x.astype(int).ravel()) / 200, 5 / 8, atol=0.12)
    # All of them, in their order, where no more are there.
    assert draw(whole, 8, key=jr.key(0)) is whole and draw(whole, 9, key=jr.key(0)) is whole


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("adm",), "unknown optimiser 'adm': did you mean 'adam'"),
        (("apply_if_finite",), "apply_if_finite"),
        (("lbfgs",), "the optimiser lbfgs asks for more than a rate and a slope: use adam"),
        (("noisy_sgd",), "the optimiser noisy_sgd asks for more"),
        (("dpsgd",), "dpsgd"),
        (("sgd", 1, None, float("inf")), "--learner.until inf: it must be positive and finite"),
        (("sgd", 0), "--learner.steps 0: at least 1"),
        (("sgd", -1, None, None, 1), "--learner.steps -1: at least 0"),
        (("sgd", 1, 0), "--learner.batch 0: at least 1"),
        (("sgd", 1, None, 0.0), "--learner.until 0.0: it must be positive"),
        (("sgd", 1, None, None, -1), "--learner.newton -1: it must not be negative"),
        (("sgd", 1, 5, 1e-3), "--learner.batch 5 gives a noisy slope"),
        (("bfgs", 1, 5), "--learner.batch 5 gives a noisy slope"),
    ],
)
def test_impossible_solvers(options, told):
    with pytest.raises(UsageError, match=told):
        Solver(*options)
