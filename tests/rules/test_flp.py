"""Against loops over synapses written from the equations, and against finite differences."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import assert_close, batch, network, spread, to_float64, trace, update

from metaplastic._errors import UsageError
from metaplastic.learners.lifetime import live
from metaplastic.learners.online import OnlineLearner
from metaplastic.models import mlp, plastic_layers
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.flp import FLP
from metaplastic.tasks.base import Episode, Query, Stream
from metaplastic.tasks.criteria import CLASSIFICATION, REGRESSION

SIZES = (5, 7, 6, 4)


def random_state(state, *, key):
    """The state with every number drawn anew, so that none is special."""
    leaves, structure = jax.tree.flatten(state)
    drawn = [
        0.3 * jr.normal(own, leaf.shape, leaf.dtype) if eqx.is_inexact_array(leaf) else leaf
        for leaf, own in zip(leaves, jr.split(key, len(leaves)), strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)


def problem(rule, getkey, size=4):
    """A ReLU network of three layers, the rule's state, inputs and one-hot targets; float64."""
    model = to_float64(mlp(SIZES[:1], SIZES[-1], hidden=SIZES[1:-1], bias=True, key=getkey()))
    state = random_state(rule.init(model, key=getkey()), key=getkey())
    x = jr.normal(getkey(), (size, SIZES[0]), jnp.float64)
    y = jax.nn.one_hot(jr.randint(getkey(), (size,), 0, SIZES[-1]), SIZES[-1], dtype=jnp.float64)
    return model, state, x, y


def changes(rule, model, state, x, y, key):
    """What the rule adds to each weight."""
    updates = update(rule, model, state, x, y, key=key)[0]
    return [-layer.weight for layer in plastic_layers(updates)]


def relu(value):
    return max(value, 0.0)


def loops(model, state, x, y, *, oja, error, linear, clamp):
    """The paper's update, one synapse and one example at a time."""
    weights = [np.asarray(layer.weight) for layer in plastic_layers(model)]
    biases = [np.asarray(layer.bias) for layer in plastic_layers(model)]
    found = [np.zeros_like(w) for w in weights]
    for example, wanted in zip(np.asarray(x), np.asarray(y), strict=True):
        activity = [example]
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
            drive = [
                sum(w[i, j] * activity[-1][i] for i in range(len(w))) + b[j] for j in range(len(b))
            ]
            last = layer == len(weights) - 1
            activity.append([v if last else relu(v) for v in drive])
        signal = [t - o for t, o in zip(wanted, activity[-1], strict=True)] if error else wanted
        for layer, w in enumerate(weights):
            for j in range(w.shape[1]):
                if clamp and layer == len(weights) - 1:
                    shifted = signal[j]
                else:
                    feedback = np.asarray(state.feedback[layer].weights[0])
                    fed = sum(s * feedback[k, j] for k, s in enumerate(signal))
                    fed += float(state.feedback[layer].biases[0][j])
                    beta = float(state.strength[layer])
                    fed = fed if linear else relu(fed)
                    shifted = beta * fed + (1 - beta) * activity[layer + 1][j]
                for i in range(w.shape[0]):
                    change = activity[layer][i] * shifted
                    if oja:
                        change -= shifted**2 * w[i, j]
                    found[layer][i, j] += float(state.plasticity[layer][i, j]) * change
    return found


@pytest.mark.parametrize(
    ("oja", "error", "linear", "clamp"), spread(itertools.product([True, False], repeat=4), 6)
)
def test_update_of_every_synapse(oja, error, linear, clamp, x64, getkey):
    rule = FLP(
        update="oja" if oja else "hebb",
        signal="error" if error else "target",
        feedback_activation="identity" if linear else "relu",
        output="clamp" if clamp else "feedback",
        loss="squared_error",
    )
    model, state, x, y = problem(rule, getkey)
    found = changes(rule, model, state, x, y, getkey())
    oracle = loops(model, state, x, y, oja=oja, error=error, linear=linear, clamp=clamp)
    assert_close(found, oracle, 1e-12)


def test_a_learner_of_rate_one_makes_exactly_the_papers_step(x64, getkey):
    model, _, x, y = problem(FLP(), getkey)
    learner = OnlineLearner(model, FLP(), rate=1.0, key=getkey())
    life = learner.birth(key=getkey())
    after, _ = learner.step(life, x, y, key=getkey())
    oracle = loops(model, learner.state, x, y, oja=True, error=False, linear=False, clamp=True)
    before = [layer.weight for layer in plastic_layers(model)]
    moved = [layer.weight for layer in plastic_layers(after.model)]
    assert_close(moved, [w + d for w, d in zip(before, oracle, strict=True)], 1e-14)
    for old, new in zip(plastic_layers(model), plastic_layers(after.model), strict=True):
        assert (old.bias == new.bias).all()
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), after.rule, learner.state))


@pytest.mark.parametrize(
    ("granularity", "shapes"),
    [("neuron", [(7,), (6,), (4,)]), ("layer", [(), (), ()]), ("global", [()])],
)
def test_coarse_plasticity_is_that_of_equal_synapses(granularity, shapes, x64, getkey):
    rule = FLP(granularity=granularity)
    model, state, x, y = problem(rule, getkey)
    assert [own.shape for own in state.plasticity] == shapes
    spread = [state.plasticity[0]] * 3 if granularity == "global" else state.plasticity
    full = tuple(
        jnp.broadcast_to(own, layer.weight.shape)
        for own, layer in zip(spread, plastic_layers(model), strict=True)
    )
    key, same = getkey(), eqx.tree_at(lambda own: own.plasticity, state, full)
    found = changes(rule, model, state, x, y, key)
    assert_close(found, changes(FLP(), model, same, x, y, key), 1e-13)


def test_mean_over_the_batch(x64, getkey):
    model, state, x, y = problem(FLP(), getkey)
    key = getkey()
    summed = changes(FLP(), model, state, x, y, key)
    mean = changes(FLP(reduction="mean"), model, state, x, y, key)
    assert_close(mean, [own / len(x) for own in summed], 1e-13)


def test_convolutions_are_dense_layers_of_their_patches(x64, getkey):
    model = network("conv", bias=True, key=getkey())
    x, y = batch("conv", key=getkey())
    rule = FLP(loss="squared_error", signal="target")
    state = random_state(rule.init(model, key=getkey()), key=getkey())
    key = getkey()
    found = changes(rule, model, state, x, y, key)[0]
    layer, own = plastic_layers(model)[0], trace(model, x, key=key).layers[0]
    path = state.feedback[0]
    fed = np.maximum(np.tensordot(y, path.weights[0], 1) + path.biases[0], 0)
    beta = float(state.strength[0])
    post = beta * fed + (1 - beta) * np.asarray(own.post)
    kernel, oracle = np.asarray(layer.weight), np.zeros(layer.weight.shape)
    for b, i, j in itertools.product(*map(range, post.shape[:3])):
        patch = np.asarray(x)[b, i : i + kernel.shape[0], j : j + kernel.shape[1]]
        oracle += patch[..., None] * post[b, i, j] - post[b, i, j] ** 2 * kernel
    assert_close(found, np.asarray(state.plasticity[0]) * oracle, 1e-12)


def test_a_deeper_path_of_feedback(x64, getkey):
    rule = FLP(feedback_layers=3, feedback_width=8)
    model, state, x, y = problem(rule, getkey)
    assert [b.shape for b in state.feedback[0].weights] == [(4, 8), (8, 8), (8, 7)]
    fed = y
    for weight, bias in zip(state.feedback[0].weights, state.feedback[0].biases, strict=True):
        fed = jnp.maximum(fed @ weight + bias, 0)
    one = FLP(update="hebb", feedback_layers=3, feedback_width=8)
    beta, key = state.strength[0], getkey()
    post = beta * fed + (1 - beta) * trace(model, x, key=key).layers[0].post
    found = changes(one, model, state, x, y, key)[0]
    assert_close(found, state.plasticity[0] * (x.T @ post), 1e-13)


def test_feedback_starts_from_the_published_distributions(getkey):
    model = mlp((11,), 50, hidden=(400, 300), key=getkey())
    state = FLP().init(model, key=getkey())
    assert len(state.feedback) == len(state.strength) == 2
    for path in state.feedback:
        assert np.std(path.weights[0]) == pytest.approx((2 / 50) ** 0.5, rel=0.03)
        assert not path.biases[0].any()
    assert all(own == 0.5 for own in state.strength)
    assert len(FLP(output="feedback").init(model, key=getkey()).feedback) == 3


def test_hebbs_rule_with_backpropagated_activity_is_gradient_descent(x64, getkey):
    rule = FLP(update="hebb", derivative="backprop", plasticity=0.1, loss="squared_error")
    model, _, x, y = problem(rule, getkey)
    state, key = rule.init(model, key=getkey()), getkey()
    oracle = update(Backprop(loss="squared_error"), model, (), x, y, key=key)[0]
    gradient = [-0.1 * len(x) * layer.weight for layer in plastic_layers(oracle)]
    assert_close(changes(rule, model, state, x, y, key), gradient, 1e-12)


def test_slope_of_the_units_gates_feedback(x64, getkey):
    rule = FLP(update="hebb", derivative="slope")
    model, state, x, y = problem(rule, getkey)
    key = getkey()
    own, path = trace(model, x, key=key).layers[0], state.feedback[0]
    fed = jnp.maximum(y @ path.weights[0] + path.biases[0], 0) * jnp.sign(own.post)
    post = state.strength[0] * fed + (1 - state.strength[0]) * own.post
    found = changes(rule, model, state, x, y, key)[0]
    assert_close(found, state.plasticity[0] * (x.T @ post), 1e-13)


def test_feedback_to_the_output_alone_leaves_hidden_activity(x64, getkey):
    rule = FLP(feedback_to="output")
    model, state, x, y = problem(rule, getkey)
    key = getkey()
    without = eqx.tree_at(lambda own: own.strength, state, (jnp.zeros(()),) * 2)
    found = changes(rule, model, state, x, y, key)
    assert_close(found, changes(FLP(), model, without, x, y, key), 1e-13)


def test_the_error_of_a_softmax_is_a_constant_divided_by_the_batch(x64, getkey):
    rule = FLP(update="hebb", signal="error")
    model, state, x, y = problem(rule, getkey)
    key = getkey()
    seen = trace(model, x, key=key)
    error = (y - jax.nn.softmax(seen.output)) / len(x)
    found = changes(rule, model, state, x, y, key)[-1]
    assert_close(found, state.plasticity[-1] * (seen.layers[-1].pre.T @ error), 1e-13)

    def last(bias):  # enters the last layer's update through the error alone
        own = eqx.tree_at(lambda m: plastic_layers(m)[-1].bias, model, bias)
        return plastic_layers(rule.updates(own, state, x, y, key=key)[0])[-1].weight.sum()

    assert not jax.grad(last)(plastic_layers(model)[-1].bias).any()


# What the published code does otherwise: off unless asked for, and each shows.


def test_hebbs_rule_once(x64, getkey):
    rule, key = FLP(hebb_once=True), getkey()
    model, state, x, y = problem(rule, getkey)
    plain = dataclasses.replace(state, moment=None)
    assert_close(
        changes(rule, model, state, x, y, key),
        changes(FLP(update="hebb"), model, plain, x, y, key),
        1e-13,
    )
    _, later, _ = update(rule, model, state, x, y, key=key)
    assert_close(
        changes(rule, model, later, x, y, key), changes(FLP(), model, plain, x, y, key), 1e-13
    )


def test_rectified_feedback_cannot_push_the_output_down(x64, getkey):
    """The output stands above its target: clamped to the error it comes down, but not where the
    error reaches it through a rectifier."""
    for output, moves in (("clamp", True), ("feedback", False)):
        rule = FLP(update="hebb", output=output, strength=1.0, loss="squared_error")
        model, _, x, _ = problem(rule, getkey)
        state = rule.init(model, key=getkey())
        positive = lambda own: jnp.abs(own) if own.ndim == 2 else own  # noqa: E731
        feedback = jax.tree.map(positive, state.feedback)
        state = eqx.tree_at(lambda own: own.feedback, state, feedback)
        below = model(x) - 1.0
        change = changes(rule, model, state, x, below, getkey())[-1]
        assert bool((change != 0).any()) is moves
        assert (change <= 0).all()


@pytest.mark.parametrize("option", [{"absolute_error": True}, {"feedback_to": "output"}])
def test_an_output_like_a_hidden_layer_is_hit_by_what_is_meant_for_those(option, x64, getkey):
    for output, hit in (("clamp", False), ("feedback", True)):
        plain = FLP(output=output, loss="squared_error")
        model, state, x, y = problem(plain, getkey)
        key = getkey()
        before = changes(plain, model, state, x, y, key)
        after = changes(dataclasses.replace(plain, **option), model, state, x, y, key)
        changed = [bool(jnp.abs(a - b).max() > 1e-6) for a, b in zip(after, before, strict=True)]
        assert changed == [True, True, hit]


def test_multiplier_of_the_hidden_layers(x64, getkey):
    model, state, x, y = problem(FLP(), getkey)
    key = getkey()
    once = changes(FLP(), model, state, x, y, key)
    found = changes(FLP(multiplier=100.0), model, state, x, y, key)
    assert_close(found, [100 * once[0], 100 * once[1], once[2]], 1e-13)


@pytest.mark.parametrize(
    ("criterion", "output"),
    [(REGRESSION, "clamp"), (REGRESSION, "feedback"), (CLASSIFICATION, "clamp")],
)
def test_meta_gradients_against_finite_differences(criterion, output, x64, getkey):
    """Of A, B, c, beta, W and b over three moments, through the error of a regression and through
    targets."""
    rule = FLP(output=output, loss=criterion.rule_loss)
    model, state, x, y = problem(rule, getkey, size=12)
    learner = OnlineLearner(model, rule, rate=1.0, key=getkey())
    small = jax.tree.map(lambda leaf: 0.3 * leaf, state)
    learner = eqx.tree_at(lambda own: own.state, learner, small)
    stream = Stream(x[:9].reshape(3, 3, -1), y[:9].reshape(3, 3, -1), None, None)
    episode = Episode(stream, Query(x[9:], y[9:]), criterion)
    key = getkey()
    arrays, rest = eqx.partition(learner, eqx.is_inexact_array)
    flat, unflatten = jax.flatten_util.ravel_pytree(arrays)

    def loss(flat):
        return live(eqx.combine(unflatten(flat), rest), episode, key=key).loss

    gradient = jax.jit(jax.grad(loss))(flat)
    # One random direction a leaf, both ways; all of them in one program.
    leaves = jax.tree.leaves(arrays)
    random, directions = np.random.default_rng(0), []
    for index in range(len(leaves)):
        own = [random.standard_normal(v.shape) * (i == index) for i, v in enumerate(leaves)]
        directions.append(np.concatenate([v.reshape(-1) for v in own]))
    directions = np.stack(directions)
    ends = jax.jit(jax.vmap(loss))(
        np.concatenate([flat + 1e-6 * directions, flat - 1e-6 * directions])
    )
    numeric = np.subtract(*np.split(np.asarray(ends), 2)) / 2e-6
    exact = directions @ np.asarray(gradient)
    assert len(exact) == 2 * 3 + 3 + (9 if output == "feedback" else 6)
    assert (exact != 0).all()
    assert (abs(numeric - exact) < 1e-5 * abs(exact) + 1e-9).all()


def test_impossible_options_are_refused():
    with pytest.raises(UsageError, match=r"--rule.feedback-layers 0: it must be at least 1"):
        FLP(feedback_layers=0)
