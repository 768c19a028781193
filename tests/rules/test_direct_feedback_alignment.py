import jax
import jax.numpy as jnp
import pytest
from helpers import assert_close, batch, deep_network, gradient, network, update
from rewired import cut_gradient, rewired_gradient

from metaplastic._errors import UsageError
from metaplastic.losses import LOSSES
from metaplastic.models import mlp, pepita_conv, plastic_layers
from metaplastic.rules.direct_feedback_alignment import DirectFeedbackAlignment

LOSS = LOSSES["cross_entropy"]


@pytest.mark.parametrize("feedback", ["dense", "kernel"])
def test_with_products_of_weights_is_the_gradient_of_a_linear_net(feedback, x64, getkey):
    model = network("dense", activation="identity", bias=True, key=getkey())
    x, y = batch("dense", key=getkey())
    _, w2, w3 = (layer.weight for layer in plastic_layers(model))
    above = (w2 @ w3, w3)
    state = (None, *above) if feedback == "kernel" else tuple(b.T for b in above)
    key = getkey()
    rule = DirectFeedbackAlignment(feedback=feedback)
    updates, _, _ = update(rule, model, state, x, y, key=key)
    assert_close(updates, gradient(model, LOSS, x, y, key=key), 1e-14)


@pytest.mark.parametrize("sign", [False, True])
def test_is_the_published_equation(sign, x64, getkey):
    model = network("dense", key=getkey())
    x, y = batch("dense", key=getkey())
    rule = DirectFeedbackAlignment(sign_error=sign, loss="squared_error")
    state = rule.init(model, key=getkey())
    updates, after, _ = update(rule, model, state, x, y, key=getkey())
    w1, w2, w3 = (layer.weight for layer in plastic_layers(model))
    h1 = jnp.tanh(x @ w1)
    h2 = jnp.tanh(h1 @ w2)
    error = h2 @ w3 - y
    sent = jnp.sign(error) if sign else error
    deltas = (sent @ state[0] * (1 - h1**2), sent @ state[1] * (1 - h2**2), error)
    for layer, pre, delta in zip(plastic_layers(updates), (x, h1, h2), deltas, strict=True):
        assert_close(layer.weight, pre.T @ delta / x.shape[0], 1e-13)
    assert_close(after, state, 0)


def test_dense_map_reaches_a_convolution_before_pooling(x64, getkey):
    model = network("conv", filters=(3,), key=getkey())
    x, y = batch("conv", key=getkey())
    rule = DirectFeedbackAlignment()
    (b,) = rule.init(model, key=getkey())
    assert b.shape == (4, 9, 8, 3)
    updates, _, aux = update(rule, model, (b,), x, y, key=getkey())
    conv = plastic_layers(model)[0]
    # 3x3 patches, [batch, row, column, i, j, channel]
    rows = jnp.stack([x[:, i : i + 9] for i in range(3)], 3)
    patches = jnp.stack([rows[:, :, j : j + 8] for j in range(3)], 4)
    drive = jnp.einsum("bruijc,ijco->bruo", patches, conv.weight)
    error = jax.nn.softmax(aux.output) - y
    delta = jnp.einsum("bk,kruo->bruo", error, b) * (1 - jnp.tanh(drive) ** 2)
    oracle = jnp.einsum("bruijc,bruo->ijco", patches, delta) / x.shape[0]
    assert_close(plastic_layers(updates)[0].weight, oracle, 1e-13)


def test_dense_map_passes_mask_and_normalisation(x64, getkey, monkeypatch):
    model = network("conv", norm="running", bias=True, dropout=0.3, key=getkey())
    x, y = batch("conv", key=getkey())
    rule, key = DirectFeedbackAlignment(), getkey()
    state = rule.init(model, key=getkey())
    updates, _, _ = update(rule, model, state, x, y, key=key)
    oracle = cut_gradient(
        monkeypatch,
        model,
        LOSS,
        x,
        y,
        signals=lambda error: [jnp.tensordot(error, b, 1) for b in state],
        key=key,
    )
    assert_close(updates, oracle, 1e-12)


@pytest.mark.parametrize("kind", ["lenet", pytest.param("resnet20", marks=pytest.mark.slow)])
def test_dense_map_on_deep_networks(kind, x64, getkey, monkeypatch):
    model, x, y = deep_network(kind, key=getkey())
    rule, key = DirectFeedbackAlignment(), getkey()
    state = rule.init(model, key=getkey())
    updates, _, _ = update(rule, model, state, x, y, key=key)
    signals = lambda error: [jnp.tensordot(error, b, 1) for b in state]  # noqa: E731
    oracle = cut_gradient(monkeypatch, model, LOSS, x, y, signals=signals, key=key)
    assert_close(updates, oracle, 1e-11)


def test_kernel_by_hand_through_pooling(x64, getkey):
    model = network("conv", key=getkey())
    x, y = batch("conv", key=getkey())
    rule = DirectFeedbackAlignment(feedback="kernel")
    state = rule.init(model, key=getkey())
    nothing, b2, b3 = state
    assert nothing is None and b2.shape == (3, 3, 3, 4) and b3.shape == (2, 4)
    updates, _, aux = update(rule, model, state, x, y, key=getkey())
    error = jax.nn.softmax(aux.output) - y

    def convolve(image, kernel):
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            image, kernel, (1, 1), "VALID", dimension_numbers=dimensions
        )

    def pool(image):
        return jax.lax.reduce_window(
            image, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
        )

    w1, w2, _ = (layer.weight for layer in plastic_layers(model))
    pre2, back1 = jax.vjp(lambda w: pool(jnp.tanh(convolve(x, w))), w1)
    pre3, back2 = jax.vjp(lambda w: pool(jnp.tanh(convolve(pre2, w))), w2)
    at_pre3 = (error @ b3.T).reshape(pre3.shape)
    tiled, at_pre2 = jax.vjp(lambda image: convolve(image, b2), pre2)
    (at_pre2,) = at_pre2(jnp.broadcast_to(error[:, None, None, :], tiled.shape))
    first, second, _ = plastic_layers(updates)
    assert_close(second.weight, back2(at_pre3)[0] / x.shape[0], 1e-12)
    assert_close(first.weight, back1(at_pre2)[0] / x.shape[0], 1e-12)


@pytest.mark.parametrize(
    "kind, sign", [("lenet", True), pytest.param("resnet20", False, marks=pytest.mark.slow)]
)
def test_kernel_on_deep_networks(kind, sign, x64, getkey, monkeypatch):
    model, x, y = deep_network(kind, key=getkey())
    rule = DirectFeedbackAlignment(feedback="kernel", sign_error=sign)
    state, key = rule.init(model, key=getkey()), getkey()
    updates, _, _ = update(rule, model, state, x, y, key=key)
    direct = jnp.sign if sign else lambda error: error
    oracle = rewired_gradient(
        monkeypatch, model, LOSS, x, y, feedback=state, direct=direct, key=key
    )
    assert_close(updates, oracle, 1e-11)


def test_distributions(getkey):
    model = pepita_conv((11, 10, 2), 4, filters=(30, 20), kernel=3, key=getkey())
    maps = DirectFeedbackAlignment(feedback_scale=0.5).init(model, key=getkey())
    for b in maps:
        bound = 0.5 * (6 / b[0].size) ** 0.5
        assert 0.9 * bound < jnp.abs(b).max() <= bound
        assert jnp.allclose(b.std(), bound / 3**0.5, rtol=0.1)
    kernels = DirectFeedbackAlignment(feedback="kernel").init(model, key=getkey())
    assert jnp.abs(kernels[1]).max() <= (6 / (9 * 30)) ** 0.5


def test_shared_matrix(getkey):
    model = mlp((5,), 4, hidden=(7, 9, 6), key=getkey())
    maps = DirectFeedbackAlignment(feedback_init="uniform").init(model, key=getkey())
    widest = maps[1]
    assert widest.shape == (4, 9)
    assert 0.8 < jnp.abs(widest).max() <= 1
    assert (maps[0] == widest[:, :7]).all() and (maps[2] == widest[:, :6]).all()
    with pytest.raises(UsageError, match="he_uniform"):
        DirectFeedbackAlignment(feedback="kernel", feedback_init="uniform")


@pytest.mark.parametrize("feedback", ["dense", "kernel"])
def test_angles(feedback, getkey):
    model = mlp((5,), 4, hidden=(7, 6), key=getkey())
    _, w2, w3 = (layer.weight for layer in plastic_layers(model))
    state = (None, w2 @ w3, -w3) if feedback == "kernel" else ((w2 @ w3).T, -w3.T)
    angles = DirectFeedbackAlignment(feedback=feedback).angles(model, state)
    assert list(angles) == ["W2..W3~B1", "W3~B2"]
    assert angles["W2..W3~B1"] < 0.1 and angles["W3~B2"] > 179.9
    conv = pepita_conv((11, 10, 2), 4, key=getkey())
    assert DirectFeedbackAlignment().angles(conv, ()) == {}
