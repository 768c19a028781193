"""Implicit differentiation: exact on the quadratic, and what its truncations are."""

from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest
from settling import Quadratic, fields, relative, with_solver
from toy_lifetimes import compiled, flat

from metaplastic._errors import UsageError
from metaplastic.learners.complex_synapse import ComplexSynapse
from metaplastic.meta import implicit
from metaplastic.meta.contrastive import Contrastive
from metaplastic.meta.implicit import Implicit

KEY = jr.key(2)


@pytest.fixture(scope="module")
def quadratic():
    with jax.enable_x64(True):
        yield Quadratic()


def run(quadratic, estimator, learner=None):
    learner = quadratic.learner if learner is None else learner
    gradient, aux = compiled(estimator)(learner, quadratic.episodes, key=KEY)
    quality = {name: float(own[0]) for name, own in aux.quality.items()}
    return gradient, quality, float(aux.loss[0])


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [(("exact",), 1e-13), (("cg", 25), 1e-10)],
)
def test_solved_wholly_they_are_exact(x64, quadratic, options, tolerance):
    gradient, quality, loss = run(quadratic, Implicit(*options))
    _, _, b, other = quadratic.landscape()
    away = np.asarray(quadratic.minimum) - other
    assert loss == pytest.approx(0.5 * away @ b @ away, rel=1e-12)
    assert quadratic.error(gradient) < tolerance
    assert max(quality.values()) < 1e-9
    assert Implicit(*options).advice(quality) == {}


def test_truncations_by_hand(x64, quadratic):
    """`neumann`: a sum_k (I - a H)^k g; `t1t2`: a g; `damping`: (H + d)^-1 g."""
    a, _, b, other = quadratic.landscape()
    strength, minimum = np.asarray(quadratic.strength), np.asarray(quadratic.minimum)
    hessian, g = a + np.diag(strength), b @ (minimum - other)
    scale, terms = 0.1, 7
    power, total = g, np.zeros_like(g)
    for _ in range(terms):
        total, power = total + power, power - scale * hessian @ power
    solutions = {
        Implicit("neumann", terms, scale): scale * total,
        Implicit("t1t2", scale=scale): scale * g,
        Implicit("exact", damping=0.5): np.linalg.solve(hessian + 0.5 * np.eye(len(g)), g),
    }
    for estimator, v in solutions.items():
        gradient, quality, _ = run(quadratic, estimator)
        np.testing.assert_allclose(flat(gradient.consolidated), strength * v, rtol=1e-10)
        away = minimum - np.asarray(flat(quadratic.omega))
        np.testing.assert_allclose(flat(gradient.strength), -away * v, rtol=1e-9, atol=1e-12)
        left = hessian @ v + estimator.damping * v - g
        expected = np.linalg.norm(left) / np.linalg.norm(g)
        assert quality["linear_residual"] == pytest.approx(expected, rel=1e-9, abs=1e-12)


class FromMinimum(ComplexSynapse):
    """Born where the quadratic's lifetimes settle."""

    minimum: Any

    def start(self, *, key):
        return jax.lax.stop_gradient(self.minimum)


def test_nudged_steps_of_descent_are_terms_of_the_neumann_series(x64, quadratic):
    """From the minimum, with beta -> 0 (Scellier & Bengio 2019, for networks that settle)."""
    rate, terms = 0.1, 20
    minimum = jax.tree.map(lambda leaf: quadratic.minimum[:, None], quadratic.omega)
    learner = FromMinimum(**fields(quadratic.learner), minimum=minimum)
    learner = with_solver(learner, "sgd", 1, rate=1e-12)
    contrastive = Contrastive(beta=1e-4, steps=terms, rate=rate, measure=False)
    found = run(quadratic, contrastive, learner)[0]
    assert relative(found, run(quadratic, Implicit("neumann", terms, rate), learner)[0]) < 1e-6
    assert quadratic.error(found) > 1e-3  # a truncation is not the gradient


@pytest.mark.parametrize(
    ("method", "slope", "residual", "told"),
    [
        ("cg", 3.0, 0.1, {"free_stationarity": "far from stationary (its slope is 3 of that"}),
        ("cg", 0.01, 0.1, {"free_stationarity": "its slope is 0.01 of that"}),
        ("cg", 2e-4, 0.05, {}),
        ("cg", 2e-4, 0.28, {"linear_residual": "not solved (a residual of 0.28"}),
        ("neumann", 2e-4, 0.96, {"linear_residual": "more --estimator.steps, or a larger"}),
        ("neumann", 2e-4, 1e9, {"linear_residual": "diverges (a residual of 1e+09, over 1)"}),
        ("exact", 2e-4, 0.5, {"linear_residual": "use --estimator.damping"}),
        ("t1t2", 2e-4, 1.6, {}),
    ],
)
def test_advice(method, slope, residual, told):
    found = Implicit(method).advice({"free_stationarity": slope, "linear_residual": residual})
    assert list(found) == list(told)
    assert all(part in found[name] for name, part in told.items())


def test_a_series_that_goes_out_of_bounds_is_named(x64, quadratic):
    endless = Implicit("neumann", 20_000, 1.5)
    assert np.isnan(flat(run(quadratic, endless)[0])).all()
    blamed = endless.blame(quadratic.learner, quadratic.episode, key=KEY)
    assert "neumann" in blamed.what and "--estimator.scale" in blamed.remedy


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"steps": 0}, "--estimator.steps 0: at least 1"),
        ({"scale": 0.0}, "--estimator.scale 0.0: it must be positive"),
        ({"scale": float("inf")}, "--estimator.scale inf: it must be positive and finite"),
        ({"damping": -1.0}, "--estimator.damping -1.0: it must not be negative"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        Implicit(**options)


def test_a_hessian_too_large_to_write_out(quadratic, monkeypatch):
    monkeypatch.setattr(implicit, "_DENSE_UP_TO", 10)
    with pytest.raises(UsageError, match="a Hessian of 20 weights, and 10 is as far as that goes"):
        jax.eval_shape(
            lambda episodes: Implicit("exact")(quadratic.learner, episodes, key=KEY)[1].loss,
            quadratic.episodes,
        )
