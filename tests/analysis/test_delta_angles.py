"""Deltas and their angles, against deltas written out by hand and automatic differentiation."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import batch, network, spread, to_float64, update

from metaplastic import _registry
from metaplastic.analysis.alignment import example_angles, update_angles
from metaplastic.analysis.delta_angles import Taught, delta_angles, example_delta_angles, taught
from metaplastic.losses import LOSSES
from metaplastic.models import plastic_layers, zero_updates
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.rules.flp import FLP
from metaplastic.rules.pepita import Pepita
from metaplastic.rules.pool import Pool
from metaplastic.rules.shallow import Shallow


@eqx.filter_jit
def teach(rule, model, state, x, y, *, key, **signals) -> Taught:
    return taught(rule, model, state, x, y, key=key, **signals)


@eqx.filter_jit
def angles(rule, model, state, x, y, *, key) -> jax.Array:
    return delta_angles(rule, Backprop(loss=rule.loss), model, state, x, y, key=key)


class Opposite(Backprop):
    """Backpropagation uphill."""

    def updates(self, *args, **options):
        updates, state, aux = super().updates(*args, **options)
        return jax.tree.map(jnp.negative, updates), state, aux


class Momentum(Backprop):
    """Adds up its updates in a state shaped like the network's weights."""

    def init(self, model, *, key):
        return zero_updates(model)

    def updates(self, model, state, x, y, **options):
        updates, _, aux = super().updates(model, (), x, y, **options)
        state = jax.tree.map(jnp.add, state, updates)
        return state, state, aux


@pytest.fixture
def drawn(x64, getkey):
    """`(network, inputs, targets)` of a kind."""

    def draw(kind: str, **options: Any) -> tuple[Any, jax.Array, jax.Array]:
        model = network(kind, key=getkey(), **options)
        return model, *batch(kind, key=getkey())

    return draw


# Deltas


@pytest.mark.parametrize("options", [{}, {"dropout": 0.4, "bias": True}])
def test_deltas_of_feedback_alignment_are_those_written_out(drawn, options, getkey):
    model, x, y = drawn("dense", **options)
    rule, key = FeedbackAlignment(loss="squared_error"), getkey()
    _, b2, b3 = feedback = to_float64(rule.init(model, key=getkey()))
    trace = eqx.filter_jit(model.trace)(x, key=key)
    layers = plastic_layers(model)
    slopes = []
    for layer, own in zip(layers, trace.layers, strict=True):
        bias = 0 if layer.bias is None else layer.bias
        slope = 1 - np.tanh(np.asarray(own.pre) @ np.asarray(layer.weight) + bias) ** 2
        slopes.append(slope if own.mask is None else slope * np.asarray(own.mask))
    error = np.asarray(trace.output - y)
    second = error @ np.asarray(b3).T * slopes[1]
    expected = [second @ np.asarray(b2).T * slopes[0], second, error]
    found = teach(rule, model, feedback, x, y, key=key)
    for mine, theirs in zip(found.deltas, expected, strict=True):
        assert mine is not None and np.abs(theirs).max() > 1e-3
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13)
    plain = update(rule, model, feedback, x, y, key=key)[0]
    for mine, own in zip(plastic_layers(found.updates), plastic_layers(plain), strict=True):
        np.testing.assert_array_equal(mine.weight, own.weight)


@pytest.mark.parametrize(
    ("kind", "options"), [("conv", {}), ("conv", {"norm": "batch"}), ("dense", {"norm": "running"})]
)
def test_deltas_of_backpropagation_are_derivatives_by_the_linear_map(drawn, kind, options, getkey):
    model, x, y = drawn(kind, **options)
    key, loss = getkey(), LOSSES["cross_entropy"]
    first = plastic_layers(model)[0].drive(x)

    def total(drive: jax.Array) -> jax.Array:
        return loss.per_example(model.trace(x, first_drive=drive, key=key).output, y).sum()

    found = teach(Backprop(), model, (), x, y, key=key).deltas[0]
    np.testing.assert_allclose(found, jax.jit(jax.grad(total))(first), rtol=1e-9, atol=1e-12)


_RULES = {
    **{name: _registry.load("rules", name) for name in _registry.names("rules")},
    "pepita hebbian": functools.partial(Pepita, mode="hebbian"),
    "pepita time_local": functools.partial(Pepita, mode="time_local"),
    "pseudo-gradient and others": functools.partial(Pool, terms=("pseudo_gradient=0.5", "oja")),
}
_NONE = {"flp"}
_OUTPUT_ALONE = {"shallow", "forward_forward"}


@pytest.mark.parametrize("name", _RULES)
def test_biases_learn_the_mean_of_the_deltas(drawn, name, getkey):
    """Of every rule that has deltas: it tells a sign, a factor or a pass that was taken wrongly."""
    model, x, y = drawn("dense", bias=True)
    rule, key = _RULES[name](), getkey()
    state = to_float64(rule.init(model, key=getkey()))
    found = teach(rule, model, state, x, y, key=key, learning_rate=0.1)
    there = [own is not None for own in found.deltas]
    assert (
        there
        == {3: [True] * 3, 1: [False, False, True], 0: [False] * 3}[
            0 if name in _NONE else 1 if name in _OUTPUT_ALONE else 3
        ]
    )
    for own, delta in zip(plastic_layers(found.updates), found.deltas, strict=True):
        if delta is not None and name != "forward_forward":  # whose read-out steps by itself
            assert float(jnp.abs(delta).max()) > 0
            np.testing.assert_allclose(delta.mean(0), own.bias, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_deltas_of_pepita_are_differences_of_its_passes(drawn, kind, getkey):
    """The second of which is a pass of an input to which the error was added."""
    model, x, y = drawn(kind)
    rule, key = Pepita(feedback_scale=0.5, position_scaling="sum"), getkey()
    state = to_float64(rule.init(model, key=getkey()))
    first = eqx.filter_jit(model.trace)(x, key=key)
    error = jax.nn.softmax(first.output) - y
    second = eqx.filter_jit(model.trace)(x + (error @ state.feedback.T).reshape(x.shape), key=key)
    found = teach(rule, model, state, x, y, key=key).deltas
    for own, again, delta in zip(first.layers[:-1], second.layers[:-1], found[:-1], strict=True):
        np.testing.assert_allclose(delta, own.post - again.post, rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(found[-1], error, rtol=1e-10)


# Angles


@pytest.mark.parametrize(("rule", "degrees"), [(Backprop(), 0), (Opposite(), 180)])
def test_backpropagation_is_at_0_degrees_and_its_opposite_at_180(drawn, rule, degrees, getkey):
    model, x, y = drawn("conv", dropout=0.2)
    found = angles(rule, model, (), x, y, key=getkey())
    np.testing.assert_allclose(found, [degrees] * 3, atol=1e-5)


def test_angles_are_of_rows_and_rows_without_direction_are_left_out():
    own = jnp.array([[3.0, 0], [2, 2], [1e-7, 0], [-1, 0], [0, 0]])
    right = jnp.array([[0.0, 1], [1, 0], [1, 0], [2, 0], [1, 0]])
    nothing: Any = ()
    (found,) = example_delta_angles(Taught(nothing, [own]), Taught(nothing, [right]))
    np.testing.assert_allclose(found, [90, 45, np.nan, 180, np.nan], rtol=1e-5)
    (turned,) = example_delta_angles(Taught(nothing, [right]), Taught(nothing, [own]))
    np.testing.assert_array_equal(turned, found)
    assert example_delta_angles(Taught(nothing, [None]), Taught(nothing, [own])) == [None]


def test_example_that_is_right_is_left_out_of_the_mean(drawn, getkey):
    """The squared error of an example whose target is the output has no delta anywhere."""
    model, x, y = drawn("dense")
    rule, key = FeedbackAlignment(loss="squared_error"), getkey()
    feedback = to_float64(rule.init(model, key=getkey()))
    met = y.at[0].set(model(x)[0])
    found = angles(rule, model, feedback, x, met, key=key)
    others = angles(rule, model, feedback, x[1:], y[1:], key=key)
    np.testing.assert_allclose(found, others, rtol=1e-10, atol=1e-4)
    everything = angles(rule, model, feedback, x, model(x), key=key)
    assert np.isnan(everything).all()


def test_one_delta_times_the_same_pre_is_at_the_angle_of_the_deltas(drawn, getkey):
    """So of single examples' weights; of a batch's weights the angle is another."""
    model, x, y = drawn("dense")
    rule, key = FeedbackAlignment(), getkey()
    feedback = to_float64(rule.init(model, key=getkey()))
    of_deltas = angles(rule, model, feedback, x, y, key=key)
    of_examples, of_weights = (
        eqx.filter_jit(measure)(rule, Backprop(), model, feedback, x, y, key=key)
        for measure in (example_angles, update_angles)
    )
    np.testing.assert_allclose(of_deltas, of_examples, rtol=1e-9, atol=1e-4)
    assert abs(of_deltas - of_weights).max() > 1


# Rules without deltas


@pytest.mark.parametrize(
    ("rule", "known"),
    spread([(FLP(), []), (Shallow(), [2]), (Pool(terms=("ehebb",)), []), (Momentum(), [])], 4),
)
def test_what_is_taught_no_delta_has_no_angle(drawn, rule, known, getkey):
    model, x, y = drawn("dense")
    state = to_float64(rule.init(model, key=getkey()))
    found = angles(rule, model, state, x, y, key=getkey())
    assert np.flatnonzero(np.isfinite(found)).tolist() == known


def test_rule_with_a_state_like_the_network_keeps_its_updates(drawn, getkey):
    model, x, y = drawn("dense")
    key, rule = getkey(), Momentum()
    found = teach(rule, model, rule.init(model, key=key), x, y, key=key)
    plain = update(Backprop(), model, (), x, y, key=key)[0]
    for mine, own in zip(plastic_layers(found.updates), plastic_layers(plain), strict=True):
        np.testing.assert_array_equal(mine.weight, own.weight)


def test_error_of_a_rule_is_its_own(drawn, getkey):
    class Broken(Backprop):
        def updates(self, *args, **options):
            raise ZeroDivisionError("its own words")

    model, x, y = drawn("dense")
    with pytest.raises(ZeroDivisionError, match="its own words"):
        taught(Broken(), model, (), x, y, key=getkey())
