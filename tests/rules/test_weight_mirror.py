import jax
import jax.numpy as jnp
import pytest
from helpers import assert_close, batch, forward_weights, gradient, network, update

from metaplastic._errors import UsageError
from metaplastic.losses import LOSSES
from metaplastic.models import Conv, GlobalAveragePool, Sequential, mlp, plastic_layers
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.weight_mirror import WeightMirror


def mirror(model, key, **options):
    """W and B of the second layer after a warm-up that starts from nothing."""
    rule = WeightMirror(feedback_init="zeros", **options)
    return plastic_layers(model)[1].weight, rule.init(model, key=key)[1]


def share(b, w):
    """The multiple of W that B is."""
    return float((b * w).sum() / (w * w).sum())


def degrees(b, w):
    cosine = (b * w).sum() / jnp.linalg.norm(b.ravel()) / jnp.linalg.norm(w.ravel())
    return float(jnp.degrees(jnp.arccos(cosine)))


def predicted(inputs, samples):
    return float(jnp.degrees(jnp.arctan(jnp.sqrt((inputs + 1) / samples))))


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_with_forward_weights_is_the_gradient(kind, x64, getkey):
    model = network(kind, bias=True, norm="batch", dropout=0.3, key=getkey())
    x, y = batch(kind, key=getkey())
    rule, key = WeightMirror(mirror_rate=0.0, mirror_decay=0.0), getkey()
    state = forward_weights(model)
    updates, after, _ = update(rule, model, state, x, y, key=key)
    oracle = gradient(model, LOSSES["cross_entropy"], x, y, key=key)
    assert_close(updates, oracle, 1e-12)
    assert_close(after, state, 0)


@pytest.mark.parametrize("steps", [10, 100])
def test_angle_of_a_linear_mirror(steps, getkey):
    model = mlp((3,), 64, hidden=(64,), bias=True, key=getkey())
    w, b = mirror(
        model, getkey(), mirror_decay=0.0, response="linear", mirror_batch=64, warmup_steps=steps
    )
    expected = predicted(64, 64 * steps)
    assert abs(degrees(b, w) / expected - 1) < 0.1
    assert abs(share(b, w) / (0.01 * steps) - 1) < 0.05


def test_decay_limits_the_memory_and_sets_the_scale(getkey):
    model = mlp((3,), 64, hidden=(64,), key=getkey())
    rate = 0.01
    w, b = mirror(model, getkey(), response="linear", mirror_batch=32, warmup_steps=800)
    assert abs(degrees(b, w) / predicted(64, 32 * (2 - rate) / rate) - 1) < 0.1
    assert abs(share(b, w) - 1) < 0.03


@pytest.mark.slow
def test_relu_mirrors_half_of_the_weight(getkey):
    # The output layer is linear, so the mirrored one is the second of three.
    model = mlp((3,), 4, hidden=(64, 64), activation="relu", key=getkey())
    w, b = mirror(model, getkey(), mirror_decay=0.0, mirror_batch=640, warmup_steps=100)
    assert abs(share(b, w) / 0.5 - 1) < 0.05
    assert degrees(b, w) < 3.5
    linear = mirror(
        model,
        getkey(),
        mirror_decay=0.0,
        mirror_batch=640,
        warmup_steps=100,
        response="linear",
        noise=0.5,
    )[1]
    assert abs(share(linear, w) / 0.25 - 1) < 0.05


def test_convolution_is_mirrored_whole(getkey):
    model = Sequential(
        Conv(2, 3, 3, key=getkey()),
        Conv(3, 4, 3, activation="identity", stride=2, bias=True, key=getkey()),
        GlobalAveragePool(),
        input_shape=(17, 15, 2),
    )
    w, b = mirror(
        model, getkey(), mirror_rate=1.0, mirror_decay=0.0, mirror_batch=200, warmup_steps=1
    )
    assert b.shape == w.shape
    assert degrees(b, w) < predicted(27, 200 * 42) * 1.5
    assert abs(share(b, w) - 1) < 0.05


def test_a_step_mirrors_each_layer_from_its_own_noise(x64, getkey):
    model = network("dense", dropout=0.5, bias=True, key=getkey())
    x, y = batch("dense", key=getkey())
    rule = WeightMirror(mirror_batch=50_000, mirror_rate=0.5, mirror_decay=0.25, response="linear")
    state, key = rule.init(model, key=getkey()), getkey()
    _, after, aux = update(rule, model, state, x, y, key=key)
    assert after[0] is None
    for b, old, w in zip(after[1:], state[1:], forward_weights(model)[1:], strict=True):
        moved = b - 0.75 * old
        assert abs(share(moved, w) / 0.5 - 1) < 0.03
        assert degrees(moved, w) < 3
    _, again, _ = update(rule, model, state, x, y, key=key)
    assert_close(again, after, 0)
    _, other, _ = update(rule, model, state, x, y, key=getkey())
    assert not jnp.allclose(other[1], after[1])
    # The noise leaves the dropout masks as they are.
    _, _, plain = update(Backprop(), model, (), x, y, key=key)
    assert_close(aux.output, plain.output, 0)


def test_noise_has_as_many_patterns_as_the_batch(x64, getkey):
    model = network("dense", key=getkey())
    rule = WeightMirror(mirror_rate=1.0, mirror_decay=1.0, response="linear")
    state = rule.init(model, key=getkey())
    ranks = []
    for size in (3, 6):
        x, y = batch("dense", size=size, key=getkey())
        _, after, _ = update(rule, model, state, x, y, key=getkey())
        ranks.append(int(jnp.linalg.matrix_rank(after[1], rtol=1e-9)))
    assert ranks == [3, 6]  # of 7x6 entries


def test_impossible_options():
    with pytest.raises(UsageError, match="mirror-batch 0"):
        WeightMirror(mirror_batch=0)
    with pytest.raises(UsageError, match="warmup-steps -1"):
        WeightMirror(warmup_steps=-1)


def test_angles_fall(getkey):
    model = mlp((3,), 4, hidden=(30, 30), key=getkey())
    angles = [
        rule.angles(model, rule.init(model, key=jax.random.key(0)))["W2~B2"]
        for rule in (WeightMirror(), WeightMirror(warmup_steps=500))
    ]
    assert angles[0] > 70 and angles[1] < 15
