import inspect
from typing import Literal, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import pytest
from helpers import assert_close, batch, forward_weights, gradient, network, spread, update

from metaplastic import _registry
from metaplastic._errors import UsageError
from metaplastic.losses import LOSSES
from metaplastic.models import (
    Sequential,
    layer_shapes,
    mlp,
    pepita_conv,
    plastic_layers,
    zero_updates,
)
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.base import local_updates, sweep
from metaplastic.rules.direct_feedback_alignment import DirectFeedbackAlignment
from metaplastic.rules.drtp import DRTP
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.rules.kolen_pollack import KolenPollack
from metaplastic.rules.shallow import Shallow
from metaplastic.rules.sign_symmetry import SignSymmetry
from metaplastic.rules.weight_mirror import WeightMirror

RULES = {
    "backprop": Backprop(),
    "shallow": Shallow(),
    "feedback_alignment": FeedbackAlignment(),
    "uniform_sign_symmetry": SignSymmetry(mode="uniform"),
    "batchwise_sign_symmetry": SignSymmetry(mode="batchwise"),
    "fixed_sign_symmetry": SignSymmetry(mode="fixed"),
    "dense_direct_feedback": DirectFeedbackAlignment(),
    "kernel_direct_feedback": DirectFeedbackAlignment(feedback="kernel"),
    "sign_direct_feedback": DirectFeedbackAlignment(sign_error=True),
    "shared_direct_feedback": DirectFeedbackAlignment(feedback_init="uniform"),
    "drtp": DRTP(),
    "weight_mirror": WeightMirror(),
    "kolen_pollack": KolenPollack(),
}


DENSE = [("dense", name) for name in RULES]
CONV = [("conv", name) for name in RULES if not name.startswith(("uniform", "sign", "shared"))]


@pytest.mark.parametrize("kind, name", spread(DENSE + CONV, 10))
def test_batch_is_the_mean_of_its_examples(kind, name, x64, getkey):
    rule = RULES[name]
    assert rule.properties.batch_linear
    model = network(kind, bias=True, key=getkey())
    x, y = batch(kind, size=3, key=getkey())
    state, key = rule.init(model, key=getkey()), getkey()

    @jax.jit
    def both(x, y):
        one = lambda a, b: rule.updates(model, state, a[None], b[None], key=key)[0]  # noqa: E731
        mean = jax.tree.map(lambda leaf: leaf.mean(0), jax.vmap(one)(x, y))
        return rule.updates(model, state, x, y, key=key)[0], mean

    assert_close(*both(x, y), 1e-12)


@pytest.mark.parametrize("name", spread(RULES, 6))
def test_updates_are_shaped_like_the_weights(name, getkey):
    rule = RULES[name]
    model = mlp((5,), 4, hidden=(7, 6), norm="running", dropout=0.2, key=getkey())
    x, y = jax.random.normal(getkey(), (3, 5)), jnp.eye(3, 4)
    state = rule.init(model, key=getkey())
    updates, after, _ = update(rule, model, state, x, y, key=getkey())
    shapes = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)  # noqa: E731
    assert shapes(updates) == shapes(zero_updates(model))
    assert shapes(after) == shapes(state)


def test_without_feedback_nothing_is_sent(x64, getkey):
    model = network("dense", bias=True, key=getkey())
    x, y = batch("dense", key=getkey())
    key = getkey()
    trace = model.trace(x, key=key)
    error = LOSSES["cross_entropy"].error(trace.output, y)
    updates = sweep(model, trace, error, (None, None, forward_weights(model)[2]))
    first, *others = plastic_layers(updates)
    assert all(not leaf.any() for leaf in jax.tree.leaves(first))
    oracle = plastic_layers(gradient(model, LOSSES["cross_entropy"], x, y, key=key))
    assert_close(others, oracle[1:], 1e-12)


def test_sweep_wants_one_feedback_a_layer(getkey):
    model = mlp((5,), 4, hidden=(7, 6), key=getkey())
    trace = model.trace(jnp.ones((3, 5)), key=getkey())
    with pytest.raises(ValueError, match="2 feedback weights for 3 plastic layers"):
        sweep(model, trace, trace.output, (None, None))


def test_local_updates_are_products(x64, getkey):
    model = network("dense", bias=True, dropout=0.4, key=getkey())
    x, _ = batch("dense", key=getkey())
    trace = model.trace(x, key=getkey())
    first, second, _ = trace.layers
    signal = jax.random.normal(getkey(), second.post.shape)
    frozen, taught, output = plastic_layers(local_updates(model, trace, [None, signal, None]))
    assert all(not leaf.any() for leaf in jax.tree.leaves((frozen, output)))
    delta = signal * second.mask * (1 - jnp.tanh(second.drive) ** 2)
    assert_close(taught.weight, jnp.einsum("bi,bj->ij", first.post, delta) / 6, 1e-14)
    assert_close(taught.bias, delta.mean(0), 1e-14)


def test_direct_rules_ask_for_the_shape_of_the_input(getkey):
    model = pepita_conv((11, 10, 2), 4, key=getkey())
    with pytest.raises(UsageError, match="input_shape=\\(height, width, channels\\)"):
        DRTP().init(Sequential(*model.nodes), key=getkey())
    whole = Sequential(*model.nodes, input_shape=(11, 10, 2))
    assert layer_shapes(whole) == layer_shapes(model)


def test_options_are_documented():
    for rule in {type(rule) for rule in RULES.values()}:
        source = inspect.getsource(rule)
        for field in rule.__dataclass_fields__:
            declaration = source.split(f"\n    {field}: ")[1]
            after = declaration.split("\n    \n")[0].split('"""')
            assert len(after) > 1, f"{rule.__name__}.{field} has no docstring"


@pytest.mark.parametrize("name", _registry.names("rules"))
def test_a_word_that_an_option_does_not_know_is_refused(name):
    rule = _registry.load("rules", name)
    for field, hint in get_type_hints(rule).items():
        if get_origin(hint) is Literal:
            with pytest.raises(UsageError, match=f"--rule.{field.replace('_', '-')} foo: there is"):
                rule(**{field: "foo"})
