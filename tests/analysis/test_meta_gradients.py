"""The exact meta-gradient, and reports of others against it."""

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.meta_gradients import (
    exact_gradient,
    gradient_reports,
    has_exact_gradient,
)
from metaplastic.learners.complex_synapse import complex_synapse
from metaplastic.learners.online import online
from metaplastic.meta.contrastive import Contrastive
from metaplastic.meta.implicit import Implicit
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.tasks.bilevel_quadratic import BilevelQuadratic, closed_form
from metaplastic.tasks.sinusoid import Sinusoid

TASK = BilevelQuadratic(dimension=6)


def linear(**options):
    return complex_synapse(
        TASK,
        rule=Backprop(),
        hidden=(),
        bias=False,
        strength=1.0,
        optimiser="sgd",
        rate=0.3,
        key=jr.key(0),
        **options,
    )


def episodes(count=2):
    return jax.vmap(TASK.sample)(jr.split(jr.key(1), count))


def test_exact_is_the_closed_form(x64):
    learner, lifetimes = linear(steps=3), episodes()
    found = exact_gradient(learner, lifetimes, key=jr.key(2))
    omega = learner.consolidated.nodes[1].weight[:, 0]
    one = [jax.tree.map(lambda leaf, i=i: leaf[i], lifetimes) for i in range(2)]
    wanted = jnp.mean(
        jnp.stack([closed_form(own, omega, jnp.ones(6)).consolidated for own in one]), 0
    )
    assert jnp.abs(found - wanted).max() < 1e-12


def test_reports_tell_good_from_bad(x64):
    learner, lifetimes = linear(steps=300), episodes()
    exact = exact_gradient(learner, lifetimes, key=jr.key(2))
    estimators = {"good": Contrastive(beta=1e-3), "bad": Implicit("t1t2", scale=5.0)}
    found = gradient_reports(estimators, learner, lifetimes, exact=exact, key=jr.key(2))
    assert found["good"].relative_error < 1e-5 < 1.0 < found["bad"].relative_error
    assert found["good"].cosine == pytest.approx(1.0, abs=1e-9)
    assert found["bad"].norm_ratio > 2.0
    assert found["good"].milliseconds > 0
    assert found["good"].quality["free_stationarity"] < 1e-6


def test_without_the_exact_one_time_and_memory_are_told(x64):
    own = gradient_reports({"own": Implicit()}, linear(steps=2), episodes(), key=jr.key(2))["own"]
    assert own.relative_error is None and own.cosine is None
    assert own.milliseconds > 0


def test_a_minimum_that_is_not_there_is_refused():
    with jax.enable_x64(True):
        task = Sinusoid(shots=3, queries=2)
        learner = complex_synapse(
            task, rule=Backprop(), hidden=(4,), strength=1e-9, steps=1, rate=1e-3, key=jr.key(0)
        )
        lifetimes = jax.vmap(task.sample)(jr.split(jr.key(1), 1))
        with pytest.raises(UsageError, match="no minimum near the end of the free phase"):
            exact_gradient(learner, lifetimes, key=jr.key(2))


def test_who_has_an_exact_gradient():
    assert has_exact_gradient(linear(steps=1))
    large = complex_synapse(TASK, rule=Backprop(), hidden=(500,), key=jr.key(0))
    assert not has_exact_gradient(large)
    assert not has_exact_gradient(online(TASK, rule=Backprop(), hidden=(), key=jr.key(0)))
    with pytest.raises(UsageError, match="more than 3000 weights"):
        exact_gradient(large, episodes(), key=jr.key(2))


def test_where_a_local_rule_settles_there_is_no_minimum_to_refer_to():
    local = complex_synapse(TASK, rule=FeedbackAlignment(), hidden=(3,), key=jr.key(0))
    assert not has_exact_gradient(local)
    with pytest.raises(UsageError, match="where a local rule settles there is none"):
        exact_gradient(local, episodes(), key=jr.key(2))
