"""Complex synapses: what meta-learning needs is at each of them; conventions; rules in phases."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import assert_close, forward_weights
from settling import Points, first, with_solver
from toy_lifetimes import compiled, flat

from metaplastic._errors import UsageError
from metaplastic.learners._strengths import make_strengths, not_negative, to_half_sum
from metaplastic.learners.complex_synapse import complex_synapse
from metaplastic.learners.proximal import proximal
from metaplastic.learners.solver import Batch
from metaplastic.meta._settled import settled
from metaplastic.meta.contrastive import Contrastive
from metaplastic.models import weights
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.rules.weight_mirror import WeightMirror
from metaplastic.tasks.criteria import CLASSIFICATION, REGRESSION

OPTIONS = {"hidden": (4,), "activation": "tanh", "optimiser": "sgd", "rate": 0.1, "steps": 6}


def made(task, *, rule=None, key=0, **options):
    """A learner of 3-4-2 units, and a lifetime."""
    rule = Backprop() if rule is None else rule

    def both(key):
        learner = complex_synapse(task, rule=rule, key=key, **{**OPTIONS, **options})
        return learner, jax.vmap(task.sample)(key[None])

    return compiled(both)(jr.key(key))


@pytest.fixture(scope="module")
def small():
    with jax.enable_x64(True):
        yield made(Points(), strength=0.3, strengths="synapse", log=False)


def batches(episode):
    stream, query = episode.stream, episode.query
    return Batch(stream.x[0], stream.y[0]), Batch(query.x, query.y)


@pytest.mark.parametrize("contrast", ["symmetric", "one_sided"])
def test_the_estimate_is_local(x64, small, contrast):
    """Each synapse's gradient from its own phi, omega and lambda at the ends of the phases."""
    learner, batch = small
    beta = 0.1
    estimator = Contrastive(beta=beta, contrast=contrast, measure=False)

    def both(learner, key):
        support, query = batches(first(batch))
        free, phase_key = settled(learner, support, key=jr.split(key, 1)[0])
        nudged = estimator.nudged(learner, free, support, query, key=phase_key)[1]
        return estimator(learner, batch, key=key)[0], free, nudged

    # One synapse that nothing draws anywhere, whose omega is then not learned.
    strength = learner.strength
    where = lambda own: jax.tree.leaves(own)[0]  # noqa: E731
    strength = eqx.tree_at(where, strength, where(strength).at[0, 0].set(0.0))
    learner = eqx.tree_at(lambda own: own.strength, learner, strength)
    gradient, free, nudged = compiled(both)(learner, jr.key(1))
    up, down = (flat(jax.tree.map(lambda leaf, i=i: leaf[i], nudged)) for i in (0, -1))
    if contrast == "one_sided":
        down = flat(free)
    width = 2 * beta if contrast == "symmetric" else beta
    omega, lam = flat(learner.consolidated), flat(strength)
    # Gradients, that is, against the direction of descent.
    assert_close(flat(gradient.consolidated), -lam * (up - down) / width, 1e-11)
    away = ((up - omega) ** 2 - (down - omega) ** 2) / 2
    assert_close(flat(gradient.strength), away / width, 1e-11)
    assert flat(gradient.consolidated)[0] == 0 and flat(gradient.strength)[0] != 0


@pytest.mark.parametrize("criterion", [REGRESSION, CLASSIFICATION], ids=["regression", "classes"])
def test_slope_of_a_rule_in_a_phase(x64, criterion):
    """Update times the factor of the loss, and the pull; with the forward weights as feedback it
    is the gradient, which settles the factor."""
    learner, batch = made(Points(criterion, number=3), rule=FeedbackAlignment(), strength=0.3)
    support, query = batches(first(batch))

    def slopes(learner):
        fast = jax.tree.map(lambda leaf: leaf + 0.1, learner.consolidated)
        key = jr.key(2)
        transported = eqx.tree_at(
            lambda own: own.state, learner, forward_weights(eqx.combine(fast, learner.network))
        )
        model = eqx.combine(fast, learner.network)
        updates = learner.rule.updates(model, learner.state, *support, key=key)[0]
        return (
            learner.learn_slope(fast, support, key=key),
            updates,
            transported.augmented_slope(fast, support, query, 0.7, key=key),
            jax.grad(lambda own: learner.augmented_loss(own, support, query, 0.7))(fast),
        )

    slope, updates, transported, gradient = compiled(slopes)(learner)
    factor = 2 / 3 if criterion is REGRESSION else 1.0
    # lambda (phi - omega) = 0.3 * 0.1
    assert_close(slope, jax.tree.map(lambda own: factor * own + 0.03, updates), 1e-12)
    assert_close(transported, gradient, 1e-12)
    assert jnp.abs(flat(slope) - flat(gradient)).max() > 1e-3


def test_rules_that_change_themselves_are_refused():
    with pytest.raises(UsageError, match="--rule WeightMirror: it changes its own state"):
        eqx.filter_eval_shape(complex_synapse, Points(), rule=WeightMirror(), key=jr.key(0))


@pytest.mark.parametrize("strengths", ["fixed", "global", "tensor", "synapse"])
def test_who_has_a_strength(x64, small, strengths):
    """One value for all is the same penalty whoever stores it, also as a logarithm."""
    learner, _ = small
    fast = jax.tree.map(lambda leaf: leaf + 0.1, learner.consolidated)
    own = make_strengths(0.3, strengths, learner.consolidated, log=strengths != "fixed")
    stored = eqx.tree_at(lambda own: own.strength, learner, own, is_leaf=lambda leaf: leaf is None)
    stored = stored if strengths == "fixed" else with_log(stored)
    assert stored.penalty(fast) == pytest.approx(0.5 * 0.3 * 0.01 * 26, rel=1e-12)
    sizes = {"fixed": 1, "global": 1, "tensor": 4, "synapse": 26}
    assert sum(np.size(leaf) for leaf in jax.tree.leaves(own)) == sizes[strengths]


def with_log(learner):
    object.__setattr__(learner, "log", True)
    return learner


def test_strengths_do_not_cross_zero(small):
    learner, _ = small
    less = jax.tree.map(lambda leaf: leaf - 1.0, learner.strength)
    constrained = eqx.tree_at(lambda own: own.strength, learner, less).constrained()
    assert not flat(constrained.strength).any()
    assert flat(not_negative(less, log=True)).max() < 0  # of a logarithm, nothing is cut off


def test_conventions_of_papers():
    # The strength 1000 of a mean over the 10,905 weights and biases of 2-100-100-5 units.
    count = 2 * 100 + 100 * 100 + 100 * 5 + 205
    assert to_half_sum(1000.0, "mean", count) == pytest.approx(0.183, abs=5e-4)
    assert to_half_sum(1000.0, "mean", count) / 2 == pytest.approx(0.0917, abs=5e-5)
    assert to_half_sum(0.001, "sum", count) == 0.002
    assert to_half_sum(0.5, "half", count) == 0.5
    assert to_half_sum(0.5, "half_mean", 10) == 0.05


def test_impossible_strengths():
    with pytest.raises(UsageError, match=r"--learner.strength -0\.1: it must not"):
        eqx.filter_eval_shape(
            complex_synapse, Points(), rule=Backprop(), strength=-0.1, key=jr.key(0)
        )


def test_proximal_learner_learns_where_it_starts_alone():
    learner = eqx.filter_eval_shape(proximal, Points(), rule=Backprop(), hidden=(4,), key=jr.key(0))
    assert learner.strength == 2.0  # a number, not an array
    arrays = [leaf for leaf in jax.tree.leaves(learner) if hasattr(leaf, "dtype")]
    assert len(arrays) == len(jax.tree.leaves(learner.consolidated)) == 4


def test_a_life_is_handed_on(small):
    learner, _ = small
    life = learner.birth(key=jr.key(0))
    assert_close(life.fast, learner.consolidated, 0.0)
    moved = eqx.tree_at(lambda own: own.fast, life, jax.tree.map(lambda leaf: leaf + 1, life.fast))
    assert_close(weights(learner.inherit(moved).consolidated), moved.fast, 0.0)
    assert with_solver(learner, "sgd", 1).solver.fixed


def test_strengths_without_bound_are_refused():
    for strength in (-1.0, float("inf"), float("nan")):
        with pytest.raises(UsageError, match=rf"strength {strength}: it must not be negative"):
            to_half_sum(strength, "half", 3)
