"""Errors of contrastive estimates where the meta-gradient is known: orders, the U, its bound."""

import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.beta_study import beta_study, reference_errors
from metaplastic.tasks.bilevel_quadratic import BilevelQuadratic

SMALL = BilevelQuadratic(6)
DECADES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@pytest.fixture(scope="module")
def one_sided():
    return beta_study("one_sided", task=SMALL, betas=DECADES, steps=(20, 0), seeds=(0, 1))


def test_errors_of_exact_phases_fall_with_the_order_of_the_contrast(one_sided):
    """One-sided errors fall by 10 a decade of beta, symmetric ones by 100."""
    error = one_sided.error[:, 1]
    np.testing.assert_allclose(error[:, 3] / error[:, 2], 10, rtol=0.05)
    symmetric = beta_study("symmetric", task=SMALL, betas=DECADES[2:4], steps=(0,), seeds=(0, 1))
    np.testing.assert_allclose(symmetric.error[:, 0, 1] / symmetric.error[:, 0, 0], 100, rtol=0.1)
    assert (one_sided.distance[:, 1] < 1e-12).all()


def test_solver_errors_make_a_u_whose_bottom_lies_between(one_sided):
    """What the free phase leaves is divided by beta: too small a beta is worse than none."""
    error, beta = one_sided.best()
    assert (one_sided.error[:, 0, 0] > 10 * error[:, 0]).all()
    np.testing.assert_allclose(one_sided.error[:, 0, 0] / one_sided.error[:, 0, 1], 10, rtol=0.1)
    assert (beta[:, 0] > beta[:, 1]).all()
    assert (one_sided.distance[:, 0] > 0).all()


def test_the_bound_holds_and_has_the_shape_of_the_error(one_sided):
    assert (one_sided.error <= one_sided.bound * (1 + 1e-6)).all()
    assert (one_sided.bound < 100 * one_sided.error).all()


def test_references_have_the_same_problems():
    """Six conjugate gradients solve a system of six; one of Neumann's terms is T1-T2."""
    conjugate = reference_errors("cg", task=SMALL, steps=(60,), seeds=(0,))
    assert conjugate.shape == (1, 1) and conjugate.max() < 1e-3


def test_a_beta_that_is_not_positive_is_refused():
    with pytest.raises(UsageError, match="beta 0"):
        beta_study(betas=(0.0, 0.1))
