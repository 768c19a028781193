"""Gradients have a symmetric Jacobian, other rules have not; a constant metric mends one kind."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from metaplastic._errors import UsageError
from metaplastic.analysis.jacobian_asymmetry import (
    asymmetry,
    asymmetry_over_lifetime,
    constant_metrics,
    jacobians_over_lifetime,
    update_jacobian,
)
from metaplastic.learners.online import online
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.tasks.sinusoid import Sinusoid

TASK = Sinusoid(moments=30, shots=5, repeat=False)


def learner_of(rule, **options):
    options = {"hidden": (3,), "activation": "tanh", "rate": 0.05, **options}
    learner = online(TASK, rule=rule, key=jr.key(0), **options)
    return jax.tree.map(lambda a: a.astype(float) if eqx.is_inexact_array(a) else a, learner)


def test_backprop_is_a_gradient_and_feedback_alignment_is_not(x64):
    episode = TASK.sample(jr.key(1))
    found = {}
    for rule in (Backprop(), FeedbackAlignment()):
        run = jax.jit(lambda own, ep: asymmetry_over_lifetime(own, ep, key=jr.key(2)))
        found[type(rule)] = run(learner_of(rule), episode)
    assert found[Backprop].shape == (30,) and (found[Backprop] < 1e-12).all()
    assert (found[FeedbackAlignment] > 0.05).all()


def test_the_jacobian_of_backprop_is_minus_the_hessian(x64):
    learner, episode = learner_of(Backprop()), TASK.sample(jr.key(1))
    life = learner.birth(key=jr.key(3))
    x, y = episode.stream.x[0], episode.stream.y[0]
    found = jax.jit(lambda own: update_jacobian(learner, own, x, y, key=jr.key(0)))(life)
    flat, unravel = ravel_pytree(life.model)

    def loss(own):
        model = eqx.combine(unravel(own), learner.model)
        return episode.criterion.loss(model(x), y).mean()

    # The rule descends the squared error's sum halved or whole: only the factor is open.
    hessian = -jax.jit(jax.hessian(loss))(flat)
    factor = (found * hessian).sum() / (hessian * hessian).sum()
    np.testing.assert_allclose(found, factor * hessian, atol=1e-12)
    assert factor > 0


def test_asymmetry_of_known_fields():
    turn = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
    assert asymmetry(turn) == jnp.inf and asymmetry(jnp.eye(2)) == 0
    assert asymmetry(jnp.zeros((2, 2))) == 0
    np.testing.assert_allclose(asymmetry(jnp.eye(2) + turn), np.sqrt(1 / 1))


def test_a_constant_metric_makes_a_preconditioned_gradient_symmetric():
    rng = np.random.default_rng(0)
    hessians = rng.normal(size=(6, 5, 5))
    hessians += hessians.transpose(0, 2, 1)
    root = rng.normal(size=(5, 5))
    metric = root @ root.T + np.eye(5)
    found = constant_metrics(-np.linalg.solve(metric, hessians))
    assert len(found.basis) == 1 and found.definite > 0
    scale = found.basis[0, 0, 0] / metric[0, 0]
    np.testing.assert_allclose(found.basis[0], scale * metric, atol=1e-6)
    # Of an indefinite metric there is a solution too, and it is seen not to be positive definite.
    bent = np.diag([1.0, 1, 1, 1, -1])
    found = constant_metrics(-np.linalg.solve(bent, hessians))
    assert len(found.basis) == 1 and found.definite < 0
    assert len(constant_metrics(rng.normal(size=(6, 5, 5))).basis) == 0
    # One state alone leaves much open, a definite metric among it.
    one = constant_metrics(-np.linalg.solve(metric, hessians[:1]))
    assert len(one.basis) == 5 and one.definite > 0


def test_learned_rates_precondition_and_random_feedback_does_not(x64):
    episode = TASK.sample(jr.key(1))
    learners = {
        "rates": learner_of(Backprop(), rates="tensor"),
        "feedback": learner_of(FeedbackAlignment()),
    }
    learners["rates"] = eqx.tree_at(
        lambda own: own.rate.nodes[2].weight, learners["rates"], replace_fn=lambda rate: 5 * rate
    )
    found = {}
    for name, own in learners.items():
        jacobians = jacobians_over_lifetime(own, episode, key=jr.key(2))
        found[name] = constant_metrics(jacobians)
        assert asymmetry(jacobians[0]) > 0.05
    assert found["rates"].definite > 0.05
    assert found["feedback"].definite < found["rates"].definite / 5


def test_too_many_weights_are_refused():
    learner = learner_of(Backprop(), hidden=(800,))
    life, episode = learner.birth(key=jr.key(0)), TASK.sample(jr.key(0))
    x, y = episode.stream.x[0], episode.stream.y[0]
    with pytest.raises(UsageError, match=r"2401 fast weights match model .*1 to 2000"):
        update_jacobian(learner, life, x, y, key=jr.key(0))
    with pytest.raises(UsageError, match="0 fast weights match other"):
        update_jacobian(learner, life, x, y, weights=("other",), key=jr.key(0))
    with pytest.raises(UsageError, match="65 weights have 2145 possible metrics"):
        constant_metrics(np.zeros((1, 65, 65)))
