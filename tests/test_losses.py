"""Losses against their written-out definitions, and their errors against automatic derivatives."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic.losses import LOSSES


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def entropy(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(-1)


WRITTEN = {
    "cross_entropy": (softmax, lambda z, y: -(y * np.log(softmax(z))).sum(-1)),
    "binary_cross_entropy": (sigmoid, lambda z, y: entropy(y, sigmoid(z))),
    "squared_error": (lambda z: z, lambda z, y: ((z - y) ** 2).sum(-1) / 2),
}


@pytest.fixture
def output(x64, getkey):
    return 2 * jr.normal(getkey(), (6, 4), jnp.float64)


@pytest.fixture
def targets(x64):
    return jnp.eye(6, 4, dtype=jnp.float64) + jnp.eye(6, 4, -4, dtype=jnp.float64)


def test_every_loss_is_written_out_here():
    assert LOSSES.keys() == WRITTEN.keys()


@pytest.mark.parametrize("name", LOSSES)
def test_value_activity_and_mean(name, output, targets):
    loss, (activity, per_example) = LOSSES[name], WRITTEN[name]
    z, y = np.asarray(output), np.asarray(targets)
    np.testing.assert_allclose(loss.activity(output), activity(z), rtol=1e-12)
    np.testing.assert_allclose(loss.per_example(output, targets), per_example(z, y), rtol=1e-12)
    np.testing.assert_allclose(loss.value(output, targets), per_example(z, y).mean(), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_error_is_the_derivative_of_one_example(name, output, targets):
    loss = LOSSES[name]
    expected = jax.vmap(jax.grad(loss.per_example))(output, targets)
    np.testing.assert_allclose(loss.error(output, targets), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_large_outputs_stay_finite(name, size):
    """In single precision: what is certain costs nothing, what is wrong costs its distance."""
    loss = LOSSES[name]
    output = jnp.array([[size, -size], [-size, size]], jnp.float32)
    y = jnp.array([[1.0, 0.0], [1.0, 0.0]], jnp.float32)
    right, wrong = loss.per_example(output, y)
    assert right == 0
    np.testing.assert_allclose(wrong, 2 * size, rtol=1e-6)
    assert np.isfinite(loss.error(output, y)).all()
