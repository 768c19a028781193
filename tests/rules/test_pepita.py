import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import CLASSES, assert_close, batch, gradient, network, to_float64

from metaplastic._errors import UsageError
from metaplastic.losses import LOSSES
from metaplastic.models import Flatten, MaxPool, Sequential, mlp, plastic_layers, resnet20, weights
from metaplastic.rules import pepita
from metaplastic.rules._feedback import angle
from metaplastic.rules.pepita import Pepita, PepitaState

updates_of = eqx.filter_jit(lambda rule, *args, **kwargs: rule.updates(*args, **kwargs))


def step(rule, model, x, y, *, key, state=None, **signals):
    """The updates of one step, from a fresh state unless one is given."""
    state = rule.init(model, key=key) if state is None else state
    return updates_of(rule, model, state, x, y, key=key, **signals)[0]


def arrays(updates):
    """`[(weight, bias), ...]` of the layers, NumPy."""
    return [(np.asarray(layer.weight), layer.bias) for layer in plastic_layers(updates)]


# An independent implementation: dense layers, NumPy, one example after the other.


def softmax(a):
    powers = np.exp(a - a.max())
    return powers / powers.sum()


def forward(layers, x, masks):
    """Activities h_0 ... h_L of one example; `layers` are pairs (W, b) [n_out, n_in], [n_out]."""
    activities = [x]
    for index, (w, b) in enumerate(layers):
        a = w @ activities[-1] + b
        last = index == len(layers) - 1
        activities.append(softmax(a) if last else np.tanh(a) * masks[index])
    return activities


def by_hand(model, feedback, x, y, masks, *, sign=1.0, signed=False, pre="modulated", error="first",
            hebbian=False):  # fmt: skip
    layers = [(np.asarray(own.weight).T, np.asarray(own.bias)) for own in plastic_layers(model)]
    totals = [(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]
    for index in range(len(x)):
        own_masks = [np.asarray(mask[index]) for mask in masks]
        h = forward(layers, x[index], own_masks)
        e = h[-1] - y[index]
        sent = np.sign(e) * 0.1 if signed else e
        other = forward(layers, x[index] + sign * feedback @ sent, own_masks)
        for number, (total_w, total_b) in enumerate(totals):
            last = number == len(layers) - 1
            if hebbian:
                target = y[index] if last else other[number + 1]
                total_w += np.outer(h[number + 1], h[number]) - np.outer(target, other[number])
                total_b += h[number + 1] - target
                continue
            signal = h[number + 1] - other[number + 1]
            if last:
                signal = e if error == "first" else other[-1] - y[index]
            total_w += np.outer(signal, (other if pre == "modulated" else h)[number])
            total_b += signal
    return [(w.T / len(x), b / len(x)) for w, b in totals]


VARIANTS = [
    ({}, {}),
    ({"feedback_sign": "minus"}, {"sign": -1.0}),
    ({"presynaptic": "standard"}, {"pre": "standard"}),
    ({"output_error": "second"}, {"error": "second"}),
    ({"sign_error": True}, {"signed": True}),
    ({"mode": "hebbian"}, {"hebbian": True}),
]


@pytest.mark.parametrize(("options", "own"), VARIANTS, ids=lambda value: "-".join(value))
def test_equals_the_rule_written_by_hand(options, own, x64, getkey):
    model = network("dense", bias=True, dropout=0.4, initialiser="fan_in", key=getkey())
    x, y = batch("dense", key=getkey())
    key, rule = getkey(), Pepita(feedback_scale=1.0, **options)
    state = rule.init(model, key=getkey())
    masks = [own.mask for own in model.trace(x, key=key).layers[:-1]]
    assert any((mask == 0).any() for mask in masks)
    numpy = [np.asarray(value) for value in (state.feedback, x, y)]
    expected = by_hand(model, *numpy, masks, **own)
    updates = step(rule, model, x, y, key=key, state=state)
    for (w, b), (expected_w, expected_b) in zip(arrays(updates), expected, strict=True):
        np.testing.assert_allclose(w, expected_w, rtol=0, atol=1e-13)
        np.testing.assert_allclose(b, expected_b, rtol=0, atol=1e-13)


def test_time_local_is_two_steps_of_descent(x64, getkey):
    model = network("dense", bias=True, key=getkey())
    x, y = batch("dense", key=getkey())
    rule, rate = Pepita(mode="time_local", feedback_scale=1.0), 0.3
    state = rule.init(model, key=getkey())
    layers = [(np.asarray(own.weight).T, np.asarray(own.bias)) for own in plastic_layers(model)]
    h = [forward(layers, one, [1, 1]) for one in np.asarray(x)]
    moved = [
        (
            w - rate * np.mean([np.outer(own[i + 1], own[i]) for own in h], 0),
            b - rate * np.mean([own[i + 1] for own in h], 0),
        )
        for i, (w, b) in enumerate(layers)
    ]
    errors = [own[-1] - target for own, target in zip(h, np.asarray(y), strict=True)]
    inputs = np.asarray(x) + np.stack(errors) @ np.asarray(state.feedback).T
    other = [forward(moved, one, [1, 1]) for one in inputs]
    for own, target in zip(other, np.asarray(y), strict=True):
        own[-1] = target
    final = [
        (
            w + rate * np.mean([np.outer(own[i + 1], own[i]) for own in other], 0),
            b + rate * np.mean([own[i + 1] for own in other], 0),
        )
        for i, (w, b) in enumerate(moved)
    ]
    signal = jnp.float32(rate)  # a trainer's rate is float32 whatever the weights are
    updates = step(rule, model, x, y, key=getkey(), state=state, learning_rate=signal)
    rate = float(signal)
    for (w, b), (w0, b0), (w1, b1) in zip(arrays(updates), layers, final, strict=True):
        np.testing.assert_allclose(w0.T - rate * w, w1.T, rtol=0, atol=1e-7)
        np.testing.assert_allclose(b0 - rate * b, b1, rtol=0, atol=1e-7)


def test_time_local_draws_new_masks_and_needs_the_learning_rate(x64, getkey):
    x, y = batch("dense", key=getkey())
    hebbian, local = Pepita(mode="hebbian"), Pepita(mode="time_local")
    for dropout in (0.0, 0.5):
        model, key = network("dense", dropout=dropout, key=getkey()), getkey()
        one = step(hebbian, model, x, y, key=key)
        other = step(local, model, x, y, key=key, learning_rate=0.0)
        same = [
            bool(jnp.allclose(a, b, atol=1e-14))
            for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True)
        ]
        assert all(same) if dropout == 0 else not any(same)
    with pytest.raises(UsageError, match="learning_rate"):
        step(local, model, x, y, key=key)


# Identities and limits


def test_tends_to_adaptive_feedback_alignment(x64, getkey):
    """delta_1 -> -f'(a_1) * (e F^T W_1) as F -> 0, with an error proportional to F."""
    model = network("dense", key=getkey())
    x, y = batch("dense", 16, key=getkey())
    key, state = getkey(), Pepita().init(model, key=getkey())
    trace = model.trace(x, key=key)
    e = LOSSES["cross_entropy"].error(trace.output, y)
    first = plastic_layers(model)[0]
    errors, scales = [], 2.0 ** -np.arange(5)
    for scale in scales:
        own = PepitaState(scale * state.feedback, None)
        delta = -first.slope(trace.layers[0].drive) * (e @ own.feedback.T @ first.weight)
        expected = x.T @ delta / len(x)
        found = plastic_layers(step(Pepita(), model, x, y, key=key, state=own))[0].weight
        errors.append(float(jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected)))
    slope = np.polyfit(np.log(scales), np.log(errors), 1)[0]
    assert 0.9 < slope < 1.1
    assert errors[-1] < 0.02


def test_is_backprop_in_an_orthogonal_linear_network(x64, getkey):
    model = to_float64(mlp((8,), CLASSES, hidden=(7, 6), activation="identity", key=getkey()))
    layers = plastic_layers(model)
    orthonormal = [jnp.linalg.qr(layer.weight)[0] for layer in layers]
    model = eqx.tree_at(lambda m: [own.weight for own in plastic_layers(m)], model, orthonormal)
    x = jax.random.normal(getkey(), (6, 8), jnp.float64)
    y = batch("dense", key=getkey())[1]
    key, rule = getkey(), Pepita(presynaptic="standard", loss="squared_error")
    state = PepitaState(-orthonormal[0] @ orthonormal[1] @ orthonormal[2], None)
    expected = gradient(model, LOSSES["squared_error"], x, y, key=key)
    assert_close(step(rule, model, x, y, key=key, state=state), expected, 1e-12)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_without_an_error_nothing_changes(kind, x64, getkey, monkeypatch):
    """Both passes are identical to the last bit, dropout included."""
    silent = LOSSES["squared_error"]._replace(activity=jnp.zeros_like)
    monkeypatch.setitem(LOSSES, "squared_error", silent)
    model, key = network(kind, dropout=0.3, key=getkey()), getkey()
    x, y = batch(kind, 12, key=getkey())
    for reuse in (True, False):
        rule = Pepita(feedback_scale=1.0, reuse_masks=reuse, loss="squared_error")
        updates = step(rule, model, x, jnp.zeros_like(y), key=key)
        *hidden, output = [own.weight for own in plastic_layers(updates)]
        assert (output == 0).all()
        assert all(bool((weight == 0).all()) == reuse for weight in hidden)


def test_the_two_signs_are_dual(x64, getkey):
    model = network("dense", key=getkey())
    (x, y), key = batch("dense", key=getkey()), getkey()
    plus, minus = (Pepita(feedback_sign=sign) for sign in ("plus", "minus"))
    state = plus.init(model, key=key)
    opposite = PepitaState(-state.feedback, None)
    expected = step(plus, model, x, y, key=key, state=state)
    assert_close(step(minus, model, x, y, key=key, state=opposite), expected, 1e-14)
    angles = plus.angles(model, state)["W~F"] + minus.angles(model, opposite)["W~F"]
    assert float(angles) == pytest.approx(180)


@pytest.mark.parametrize(("kind", "options"), [("dense", {"mode": "hebbian"}), ("conv", {})])
def test_is_linear_in_the_batch(kind, options, x64, getkey):
    model, rule, key = network(kind, bias=True, key=getkey()), Pepita(**options), getkey()
    x, y = batch(kind, key=getkey())
    state = rule.init(model, key=key)

    @jax.jit
    def mean_of_examples(x, y):
        def one(x, y):
            return rule.updates(model, state, x[None], y[None], key=key)[0]

        return jax.tree.map(lambda u: u.mean(0), jax.vmap(one)(x, y))

    assert_close(step(rule, model, x, y, key=key, state=state), mean_of_examples(x, y), 1e-12)


# Convolutions


def convolutional_pass(kernels, head, x):
    """Activities that enter and leave each layer, by the library's own convolutions."""
    pres, posts = [], []
    for kernel in kernels:
        pres.append(x)
        h = jnp.tanh(convolution(x, kernel))
        posts.append(h)
        window = (1, 2, 2, 1)
        x = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, window, window, "VALID")
    pres.append(x.reshape(len(x), -1))
    posts.append(jax.nn.softmax(pres[-1] @ head))
    return pres, posts


def convolution(x, kernel):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=dimensions)


@pytest.mark.parametrize("scaling", ["mean", "sqrt", "sum"])
def test_kernels_follow_the_gradient_of_the_inner_product(scaling, x64, getkey):
    model, key = network("conv", key=getkey()), getkey()
    x, y = batch("conv", key=getkey())
    rule = Pepita(feedback_scale=1.0, position_scaling=scaling)
    state = rule.init(model, key=key)
    *kernels, head = [own.weight for own in plastic_layers(model)]

    @jax.jit
    def expected(x, y):
        _, posts = convolutional_pass(kernels, head, x)
        e = posts[-1] - y
        other = x + jnp.einsum("bk,nk->bn", e, state.feedback).reshape(x.shape)
        pres, posts_other = convolutional_pass(kernels, head, other)
        found = []
        for kernel, pre, h, h_other in zip(kernels, pres, posts, posts_other, strict=False):
            inner = lambda w, pre=pre, s=h - h_other: jnp.vdot(convolution(pre, w), s)  # noqa: E731
            positions = h.shape[1] * h.shape[2]
            scale = {"mean": positions, "sqrt": positions**0.5, "sum": 1}[scaling]
            found.append(jax.grad(inner)(kernel) / (len(x) * scale))
        return [*found, pres[-1].T @ e / len(x)]

    updates = [own.weight for own in plastic_layers(step(rule, model, x, y, key=key, state=state))]
    assert_close(updates, expected(x, y), 1e-10)


@pytest.mark.parametrize(("kind", "norm"), [("dense", "batch"), ("conv", "none")])
def test_second_pass_of_the_first_layer_by_its_change(kind, norm, x64, getkey, monkeypatch):
    if kind == "dense":
        net = mlp((20,), CLASSES, hidden=(7,), norm=norm, bias=True, dropout=0.3, key=getkey())
        model, x = to_float64(net), jax.random.normal(getkey(), (12, 20), jnp.float64)
    else:
        model, x = network("conv", bias=True, key=getkey()), batch("conv", 12, key=getkey())[0]
    y, key, rule = batch(kind, 12, key=getkey())[1], getkey(), Pepita(feedback_scale=1.0)
    state, taken = rule.init(model, key=key), []
    original = pepita.modulated_drive
    record = lambda *args: taken.append(original(*args)) or taken[-1]  # noqa: E731
    monkeypatch.setattr(pepita, "modulated_drive", record)
    fast = eqx.filter_jit(rule.updates)(model, state, x, y, key=key)[0]
    assert taken[0] is not None
    monkeypatch.setattr(pepita, "modulated_drive", lambda *args: None)
    plain = eqx.filter_jit(lambda *args: rule.updates(*args, key=key)[0])(model, state, x, y)
    assert_close(fast, plain, 1e-12)


def test_layers_before_the_first_synapse_are_passed(x64, getkey):
    """A network that pools its input has no short way to the second pass."""
    key, (x, y) = getkey(), batch("conv", 12, key=getkey())
    head = mlp((50,), CLASSES, hidden=(6,), key=getkey()).nodes[1:]
    model = to_float64(Sequential(MaxPool(), Flatten(), *head, input_shape=(11, 10, 2)))
    updates = step(Pepita(feedback_scale=1.0), model, x, y, key=key)
    assert all((own.weight != 0).any() for own in plastic_layers(updates))


# Options and state


@pytest.mark.parametrize(
    ("name", "low", "high", "deviation"),
    [
        ("he_uniform", -np.sqrt(6 / 200), np.sqrt(6 / 200), np.sqrt(2 / 200)),
        ("he_normal", -np.inf, np.inf, np.sqrt(2 / 200)),
        ("class_uniform", -0.5, 0.5, 1 / np.sqrt(12)),
        ("positive", 0, np.sqrt(6 / 200), np.sqrt(6 / 200) / np.sqrt(12)),
        ("ones", 1, 1, 0),
    ],
)
def test_distributions_of_the_feedback(name, low, high, deviation, x64, getkey):
    model = mlp((10, 10, 2), CLASSES, hidden=(5,), key=getkey())
    feedback = Pepita(feedback_init=name).init(model, key=getkey()).feedback / 0.05
    assert feedback.shape == (200, CLASSES)
    assert feedback.min() >= low - 1e-6
    assert feedback.max() <= high + 1e-6
    assert float(feedback.std()) == pytest.approx(deviation, rel=0.1, abs=1e-6)


@pytest.mark.parametrize("wrong", [{"output_error": "second"}, {"presynaptic": "standard"}])
def test_options_without_a_meaning_are_refused(wrong):
    with pytest.raises(UsageError, match="has no meaning"):
        Pepita(mode="hebbian", **wrong)


def test_residual_networks_and_normalisation_learn_too(getkey):
    key = getkey()
    model = resnet20((8, 8, 1), CLASSES, blocks=1, norm="batch", key=key)
    x, y = jax.random.normal(key, (3, 8, 8, 1)), jax.nn.one_hot(jnp.arange(3), CLASSES)
    updates = jax.eval_shape(lambda: step(Pepita(), model, x, y, key=key))
    assert jax.tree.structure(updates) == jax.tree.structure(weights(model))


# Mirrored feedback


def test_the_mirrored_feedback_is_the_product_of_its_mirrors(x64, getkey):
    model, key = network("dense", key=getkey()), getkey()
    x, y = batch("dense", key=getkey())
    for sign, factor in (("plus", -1), ("minus", 1)):
        rule = Pepita(mirror=True, feedback_sign=sign, mirror_every=2)
        states = [rule.init(model, key=key)]
        for number in range(2):
            own = jax.random.fold_in(key, number)
            states.append(updates_of(rule, model, states[-1], x, y, key=own)[1])
        assert jax.tree.structure(states[0]) == jax.tree.structure(states[2])
        assert (states[0].feedback == states[1].feedback).all()
        assert (states[1].feedback != states[2].feedback).any()
        for state in states:
            product = factor * np.linalg.multi_dot([np.asarray(b) for b in state.mirror.weights])
            np.testing.assert_allclose(state.feedback, product, rtol=1e-12)
            assert product.std() == pytest.approx(0.05 * np.sqrt(2 / 5), rel=1e-10)


@pytest.mark.slow
def test_mirrors_turn_to_the_weights(getkey):
    model = mlp((20,), CLASSES, hidden=(15, 10), key=getkey())
    key, angles = getkey(), []
    for warmup in (0, 20, 300):
        rule = Pepita(mirror=True, mirror_warmup=warmup, mirror_noise=1.0)
        state = eqx.filter_jit(rule.init)(model, key=key)
        angles.append(rule.angles(model, state))
    for name in ("W1~B1", "W2~B2", "W3~B3"):
        start, middle, end = (float(found[name]) for found in angles)
        assert start > 75
        assert start > middle > end
    assert float(angles[-1]["W1~B1"]) < 20
    assert float(angles[-1]["W2~B2"]) < 20
    # A softmax tells nothing of what its weights share, so that part is not mirrored.
    output = plastic_layers(model)[-1].weight
    centred = output - output.mean(1, keepdims=True)
    assert float(angle(centred, state.mirror.weights[-1])) < 25
    assert float(angles[-1]["W~F"]) > 120  # the plus sign aligns by opposing


def test_mirrors_need_a_dense_stack(x64, getkey):
    with pytest.raises(UsageError, match="--model mlp"):
        Pepita(mirror=True).init(network("conv", key=getkey()), key=getkey())


def test_seeds_may_be_an_axis(getkey):
    rule = Pepita(mirror=True, mirror_every=2)
    x, y = jnp.ones((3, 5)), jax.nn.one_hot(jnp.arange(3), CLASSES)

    def run(key):
        model = mlp((5,), CLASSES, hidden=(4,), key=key)
        state = rule.init(model, key=key)
        state = eqx.tree_at(lambda s: s.mirror.steps, state, state.mirror.steps + 1)
        return rule.updates(model, state, x, y, key=key)[:2]

    keys = jax.random.split(getkey(), 2)
    together, alone = jax.jit(jax.vmap(run))(keys), jax.jit(run)(keys[1])
    assert_close(jax.tree.map(lambda leaf: leaf[1], together), alone, 1e-5)
