"""Modulation: what settles, what the slow body learns from it, and what nothing teaches."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from helpers import assert_close
from settling import Points, first
from toy_lifetimes import compiled, flat

from metaplastic._errors import UsageError
from metaplastic.learners.modulated import modulated
from metaplastic.learners.solver import Batch
from metaplastic.meta._settled import settled
from metaplastic.meta.contrastive import Contrastive
from metaplastic.meta.unrolled import Unrolled
from metaplastic.models import conv4, plastic_layers


class Images(Points):
    @property
    def input_shape(self):
        return (8, 8, 1)


TASK = Points()
BETA = 0.1


@pytest.fixture(scope="module")
def made():
    def both(key):
        options = {"hidden": (5, 4), "anchor": 0.2, "rate": 0.1, "steps": 6}
        learner = modulated(TASK, **options, key=key)
        return learner, jax.vmap(TASK.sample)(key[None])

    with jax.enable_x64(True):
        yield compiled(both)(jr.key(0))


def answer(theta, phi, x):
    """The equations of the model, written out."""
    for (w, c), gain, bias in zip(theta, phi.gains, phi.biases, strict=True):
        x = jnp.tanh(gain * (x @ w + c) + bias)
    return x @ phi.head.weight + phi.head.bias


def body(learner):
    return [(own.weight, own.bias) for own in plastic_layers(learner.body) if own is not None]


def test_what_settles(x64, made):
    learner, batch = made
    fast = jax.tree.map(lambda leaf: leaf + 0.1, learner.start(key=jr.key(0)))
    shapes = [leaf.shape for leaf in jax.tree.leaves(fast)]
    assert shapes == [(5,), (4,), (5,), (4,), (4, 2), (2,)]
    x = first(batch).query.x
    assert_close(learner.answer(fast, x), answer(body(learner), fast, x), 1e-13)
    # Born unmodulated.
    born = learner.birth(key=jr.key(0)).fast
    assert all((leaf == 1).all() for leaf in born.gains)
    assert not any(leaf.any() for leaf in born.biases)


@pytest.mark.parametrize("anchor", [0.0, 0.2])
def test_contrast_of_two_experiences(x64, made, anchor):
    """The body's is that of weight gradients with the direct term; the start's, of the anchor."""
    learner, batch = made
    learner = dataclasses.replace(learner, anchor=anchor)
    estimator = Contrastive(beta=BETA, contrast="one_sided", measure=False)
    stream, query = first(batch).stream, first(batch).query
    support, query = Batch(stream.x[0], stream.y[0]), Batch(query.x, query.y)

    def everything(key):
        free, phase_key = settled(learner, support, key=jr.split(key, 1)[0])
        nudged = first(estimator.nudged(learner, free, support, query, key=phase_key)[1])

        def loss(theta, phi, batch):
            return jnp.mean((answer(theta, phi, batch.x) - batch.y) ** 2)

        def weight_gradient(phi, batch):
            return jax.grad(loss)(body(learner), phi, batch)

        terms = weight_gradient(nudged, support), weight_gradient(nudged, query)
        before = weight_gradient(free, support)
        hebbian = jax.tree.map(lambda a, b, c: (a + BETA * b - c) / BETA, *terms, before)
        return estimator(learner, batch, key=key)[0], hebbian, free, nudged

    gradient, hebbian, free, nudged = compiled(everything)(jr.key(1))
    assert_close(body(gradient), hebbian, 1e-10)
    if anchor:
        expected = jax.tree.map(lambda up, down: -anchor * (up - down) / BETA, nudged, free)
        assert_close(gradient.initial, expected, 1e-10)
    else:
        assert not flat(gradient.initial).any()


def test_unrolled_teaches_the_start_too(x64, made):
    learner, batch = made
    learner = dataclasses.replace(learner, anchor=0.0)
    gradient = compiled(Unrolled())(learner, batch, key=jr.key(1))[0]
    leaves = jax.tree.leaves(gradient.initial)
    assert len(leaves) == 6 and all(leaf.any() for leaf in leaves)


def test_without_a_body_settled_phases_forget_everything():
    def shape(estimator, **options):
        learner = eqx.filter_eval_shape(modulated, TASK, hidden=(), key=jr.key(0), **options)
        batch = jax.eval_shape(jax.vmap(TASK.sample), jr.split(jr.key(0), 1))
        return eqx.filter_eval_shape(estimator, learner, batch, key=jr.key(0))

    with pytest.raises(UsageError, match=r"--learner\.hidden without a layer"):
        shape(Contrastive())
    shape(Contrastive(), anchor=0.1)
    shape(Unrolled())


def test_modulation_is_handed_on(made):
    learner, _ = made
    life = learner.birth(key=jr.key(0))
    moved = eqx.tree_at(lambda own: own.fast, life, jax.tree.map(lambda leaf: leaf + 1, life.fast))
    assert_close(learner.inherit(moved).initial, moved.fast, 0.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"anchor": float("inf")}, "--learner.anchor inf: it must not be negative or infinite"),
        ({"anchor": -1.0}, "--learner.anchor -1.0: it must not be negative"),
        ({"model": "resnet20", "activation": None, "bias": None}, "one layer after the other"),
    ],
)
def test_impossible_modulation(options, told):
    with pytest.raises(UsageError, match=told):
        eqx.filter_eval_shape(modulated, Images(), key=jr.key(0), **options)


def test_normalisation_undoes_gains(monkeypatch):
    normalising = partial(conv4, filters=(2,), norm="batch")
    monkeypatch.setattr("metaplastic._registry.load", lambda kind, name: normalising)
    with pytest.raises(UsageError, match="it normalises, which undoes what a gain does"):
        eqx.filter_eval_shape(modulated, Images(), model="conv4", key=jr.key(0))
