"""On linear units whose changes can be worked out by hand, and against automatic differentiation
written otherwise."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis import lifetimes
from metaplastic.analysis.lesions import (
    evened,
    only_top,
    random_feedback,
    shuffled_feedback,
    without_feedback,
)
from metaplastic.analysis.retention import class_groups, forgetting, retention, seen_so_far
from metaplastic.learners.online import OnlineLearner
from metaplastic.models import mlp, plastic_layers
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.flp import FLP
from metaplastic.tasks.base import Episode, Query, Stream
from metaplastic.tasks.criteria import CLASSIFICATION, REGRESSION
from metaplastic.tasks.sinusoid_sequence import SinusoidSequence

interference = eqx.filter_jit(lifetimes.interference)
retained = eqx.filter_jit(retention)
update_alignment = eqx.filter_jit(lifetimes.update_alignment)
TASK = SinusoidSequence(functions=3, batches=4, shots=5, queries=6)


@jax.jit
def sample(key):
    return TASK.sample(key)


def linear_unit(rate=0.5):
    """One linear unit with two inputs that starts from zero: W <- W - rate * (W x - y) x."""
    model = mlp((2,), 1, hidden=(), initialiser="zeros", key=jr.key(0))
    return OnlineLearner(model, Backprop(loss="squared_error"), rate=rate, key=jr.key(1))


def one_point_tasks(inputs, targets):
    """Each task one moment with one point, which is also its question."""
    x, y = jnp.asarray(inputs, jnp.float32), jnp.asarray(targets, jnp.float32)[:, None]
    return Episode(Stream(x[:, None], y[:, None], None, None), Query(x, y), REGRESSION)


def flp(getkey, **options):
    rule = FLP(loss="squared_error", plasticity=1e-3, **options)
    model = mlp((4,), 1, hidden=(6, 5), key=getkey())
    return OnlineLearner(model, rule, rate=1.0, key=getkey())


def test_tasks_on_different_inputs_leave_each_other_alone():
    episode = one_point_tasks([[1, 0], [0, 1]], [1, 2])
    kept = retained(linear_unit(), episode, 2, key=jr.key(0))
    assert np.allclose(kept.before, [1, 4])
    assert np.allclose(kept.transfer, [[0.25, 4], [0.25, 1]])
    assert np.allclose(kept.retention, kept.transfer)
    assert forgetting(kept.transfer) == 0
    found = interference(linear_unit(), episode, 2, key=jr.key(0))
    # dW = [0.5, 0] and g = [-2, 0] of the first task, [0, -4] of the second.
    assert np.allclose(found.first_order, [[1, 0], [0, 4]])
    assert np.allclose(found.cosine, np.eye(2))
    assert np.allclose(found.gradient_cosine, np.eye(2))
    assert np.allclose(found.centred, [[1, -1], [-1, 1]])


def test_tasks_that_contradict_each_other_undo_each_other():
    episode = one_point_tasks([[1, 0], [1, 0]], [1, -1])
    kept = retained(linear_unit(), episode, 2, key=jr.key(0))
    # w: 0, then 0.5, then 0.5 - 0.75 = -0.25.
    assert np.allclose(kept.transfer, [[0.25, 2.25], [1.5625, 0.5625]])
    assert forgetting(kept.transfer) == pytest.approx(1.3125)
    found = interference(linear_unit(), episode, 2, key=jr.key(0))
    assert np.allclose(found.first_order, [[1, -1], [-0.75, 2.25]])
    assert np.allclose(found.cosine, [[1, -1], [-1, 1]])


def test_questions_belong_to_the_tasks_that_they_are_said_to():
    episode = one_point_tasks([[1, 0], [0, 1]], [1, 2])
    turned = eqx.tree_at(
        lambda own: own.query, episode, jax.tree.map(lambda leaf: leaf[::-1], episode.query)
    )
    groups = jnp.array([1, 0])
    kept = retained(linear_unit(), turned, 2, groups=groups, key=jr.key(0))
    assert np.allclose(kept.transfer, [[0.25, 4], [0.25, 1]])
    found = interference(linear_unit(), turned, 2, groups=groups, key=jr.key(0))
    assert np.allclose(found.first_order, [[1, 0], [0, 4]])
    y = jnp.eye(3)[jnp.array([2, 2, 0, 0, 1, 1])][:, None]
    asked = Query(jnp.zeros((3, 2)), jnp.eye(3))
    labelled = Episode(Stream(jnp.zeros((6, 1, 2)), y, None, None), asked, CLASSIFICATION)
    assert class_groups(labelled, 3).tolist() == [1, 2, 0]


def test_means_over_what_was_seen():
    matrix = jnp.array([[1.0, 9, 9], [0.5, 1, 9], [0.25, 0.5, 0.75]])
    assert np.allclose(seen_so_far(matrix), [1, 0.75, 0.5])
    assert float(forgetting(matrix)) == pytest.approx(-0.625)


def test_gradient_descent_is_aligned_with_the_gradient(getkey):
    model = mlp((4,), 1, hidden=(6, 5), key=getkey())
    learner = OnlineLearner(model, Backprop(loss="squared_error"), rate=0.002, key=getkey())
    found = update_alignment(learner, sample(getkey()), key=getkey())
    assert found.cosine.shape == (12, 3)
    assert np.allclose(found.cosine, 1, atol=1e-5)
    assert np.allclose(found.overall, 1, atol=1e-5)
    assert (found.after < found.before).all()
    assert np.allclose(found.before - found.after, found.expected, rtol=0.3)


def test_moments_that_a_lifetime_lacks_have_no_direction(getkey):
    """Of the gradient itself every other cosine is 1."""
    task = SinusoidSequence(functions=3, batches=4, shots=5, queries=6, vary_length=True)
    model = mlp((4,), 1, hidden=(6, 5), key=getkey())
    learner = OnlineLearner(model, Backprop(loss="squared_error"), rate=0.002, key=getkey())
    keys = jr.split(getkey(), 6)
    one = jax.jit(jax.vmap(lambda key: (task.sample(key), key)))(keys)[0]
    found = jax.jit(jax.vmap(lambda episode, key: update_alignment(learner, episode, key=key)))(
        one, keys
    )
    absent = ~np.asarray(one.stream.mask)
    assert absent.any() and not absent.all()
    for own in found:
        assert (np.isnan(own).reshape(6, 12, -1) == absent[..., None]).all()
    assert np.allclose(np.asarray(found.overall)[~absent], 1, atol=1e-5)


def test_alignment_of_one_change_of_feedback_and_plasticity(x64, getkey):
    learner, episode, key = flp(getkey), sample(getkey()), getkey()
    found = update_alignment(learner, episode, key=key)
    x, y = episode.stream.x[0], episode.stream.y[0]
    step = eqx.filter_jit(lambda own: own.step(own.birth(key=key), x, y, key=key))
    after, _ = step(learner)
    change = [
        np.asarray(b.weight - a.weight).reshape(-1)
        for a, b in zip(plastic_layers(learner.model), plastic_layers(after.model), strict=True)
    ]
    gradient = jax.grad(lambda own: jnp.square(own(x) - y).mean())(learner.model)
    slopes = [-np.asarray(own.weight).reshape(-1) for own in plastic_layers(gradient)]
    cosine = [
        a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(change, slopes, strict=True)
    ]
    assert np.allclose(found.cosine[0], cosine, atol=1e-5)
    assert not np.allclose(cosine, 1, atol=0.1)
    change, slopes = np.concatenate(change), np.concatenate(slopes)
    overall = change @ slopes / np.linalg.norm(change) / np.linalg.norm(slopes)
    assert float(found.overall[0]) == pytest.approx(overall, abs=1e-5)
    assert float(found.expected[0]) == pytest.approx(change @ slopes, rel=1e-4)
    assert float(found.before[0]) == pytest.approx(float(jnp.square(learner.model(x) - y).mean()))


def test_a_proposal_is_judged_and_not_lived(getkey):
    learner, episode, key = flp(getkey), sample(getkey()), getkey()
    plain = update_alignment(learner, episode, key=key)
    itself = update_alignment(learner, episode, proposer=learner, key=key)
    assert np.allclose(plain.cosine, itself.cosine)
    still = only_top(learner, 0)
    none = update_alignment(learner, episode, proposer=still, key=key)
    assert np.allclose(none.before, plain.before)  # the weights visited are the learner's
    assert not none.cosine.any()
    assert np.allclose(none.after, none.before)


@pytest.mark.parametrize("measure", [retention, lifetimes.interference])
def test_impossible_divisions_are_refused(getkey, measure):
    with pytest.raises(UsageError, match="12 moments and 18 questions cannot be divided among 5"):
        measure(flp(getkey), sample(getkey()), 5, key=getkey())


def test_lesions(getkey):
    learner = flp(getkey)
    first, second, third = only_top(learner, 1).state.plasticity
    assert not first.any()
    assert not second.any()
    assert (third == learner.state.plasticity[2]).all()
    assert not any(own.any() for own in without_feedback(learner).state.strength)
    path, own = (
        learner.state.feedback[0],
        shuffled_feedback(learner, key=getkey()).state.feedback[0],
    )
    assert (own.weights[0] != path.weights[0]).any()
    assert np.allclose(np.sort(own.weights[0]), np.sort(path.weights[0]))
    drawn = random_feedback(learner, key=getkey()).state.feedback[0]
    assert drawn.weights[0].shape == path.weights[0].shape
    assert not np.allclose(np.sort(drawn.weights[0]), np.sort(path.weights[0]))
    signed = eqx.tree_at(lambda o: o.state.plasticity[0], learner, jr.normal(getkey(), (4, 6)))
    even = evened(signed).state.plasticity[0]
    assert np.allclose(even, np.abs(signed.state.plasticity[0]).mean())
    with pytest.raises(UsageError, match="layers=4: this learner has 3"):
        only_top(learner, 4)
    with pytest.raises(UsageError, match="Backprop has neither feedback nor plasticity"):
        without_feedback(linear_unit())
