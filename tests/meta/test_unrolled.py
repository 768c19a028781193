"""The unrolled gradient: MAML's by hand, a Python loop's, and the same for less memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import assert_close, to_float64
from toy_lifetimes import compiled, episodes, leaky

from metaplastic._errors import UsageError
from metaplastic.learners.online import OnlineLearner
from metaplastic.meta.unrolled import Unrolled
from metaplastic.models import mlp, plastic_layers
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.sinusoid import Sinusoid

RATE = 0.05


def maml(getkey, *, moments: int, hidden: int = 4):
    """A two-layer tanh network that backpropagation trains, and sinusoids; in float64."""
    task = Sinusoid(shots=5, moments=moments, queries=3)

    def both(key):
        model = mlp((1,), 1, hidden=(hidden,), activation="tanh", bias=True, key=key)
        learner = OnlineLearner(model, Backprop(loss="squared_error"), rate=RATE, key=key)
        return to_float64(learner), jax.vmap(task.sample)(jr.split(key, 3))

    return compiled(both)(getkey())


def _forward(theta, x):
    w1, b1, w2, b2 = theta
    h = np.tanh(x @ w1 + b1)
    return h, h @ w2 + b2


def _gradient(theta, x, y, factor):
    """Gradient of factor/2 sum (o - y)^2 / batch."""
    h, o = _forward(theta, x)
    delta2 = factor * (o - y) / len(x)
    delta1 = (delta2 @ theta[2].T) * (1 - h**2)
    return [x.T @ delta1, delta1.sum(0), h.T @ delta2, delta2.sum(0)]


def _hessian_times(theta, x, y, v):
    """The Hessian of 1/2 sum (o - y)^2 / batch times v (Pearlmutter 1994), written out."""
    _, _, w2, _ = theta
    v1, c1, v2, c2 = v
    h, o = _forward(theta, x)
    delta2 = (o - y) / len(x)
    rh = (1 - h**2) * (x @ v1 + c1)
    rdelta2 = (rh @ w2 + h @ v2 + c2) / len(x)
    rdelta1 = (rdelta2 @ w2.T + delta2 @ v2.T) * (1 - h**2) - (delta2 @ w2.T) * 2 * h * rh
    return [x.T @ rdelta1, rdelta1.sum(0), rh.T @ delta2 + h.T @ rdelta2, rdelta2.sum(0)]


def by_hand(theta, support, query, *, second_order=True):
    """(I - r H(theta_0)) (I - r H(theta_1)) grad L_query(theta_2)."""
    (x, y), (xq, yq) = support, query
    path = [theta]
    for _ in range(2):
        step = _gradient(path[-1], x, y, 1.0)
        path.append([w - RATE * g for w, g in zip(path[-1], step, strict=True)])
    v = _gradient(path[2], xq, yq, 2.0)
    if second_order:
        for before in (path[1], path[0]):
            hv = _hessian_times(before, x, y, v)
            v = [own - RATE * curved for own, curved in zip(v, hv, strict=True)]
    return v


def parameters(model):
    """W_1, b_1, W_2, b_2 in NumPy."""
    return [np.asarray(a) for layer in plastic_layers(model) for a in (layer.weight, layer.bias)]


def mean_by_hand(learner, batch, **options):
    """`by_hand`, averaged over episodes."""
    stream, query = batch.stream, batch.query
    each = [
        by_hand(
            parameters(learner.model),
            (np.asarray(stream.x[i, 0]), np.asarray(stream.y[i, 0])),
            (np.asarray(query.x[i]), np.asarray(query.y[i])),
            **options,
        )
        for i in range(stream.x.shape[0])
    ]
    return [np.mean(own, 0) for own in zip(*each, strict=True)]


def test_two_steps_of_maml_by_hand(x64, getkey):
    learner, batch = maml(getkey, moments=2)
    gradient = compiled(Unrolled())(learner, batch, key=getkey())[0]
    expected = mean_by_hand(learner, batch)
    assert_close(list(map(jnp.asarray, parameters(gradient.model))), expected, 1e-12)
    # The second-order terms are no rounding: without them the same numbers are far away.
    first = mean_by_hand(learner, batch, second_order=False)
    size = max(np.abs(own).max() for own in expected)
    assert max(np.abs(a - b).max() for a, b in zip(first, expected, strict=True)) > 0.05 * size


def test_a_loop_in_python_gives_the_same(x64, getkey):
    learner, batch = maml(getkey, moments=3)
    key = getkey()
    arrays, rest = eqx.partition(learner, eqx.is_inexact_array)

    def loss(arrays):
        own = eqx.combine(arrays, rest)
        total = 0.0
        for i in range(3):
            episode = jax.tree.map(lambda leaf, i=i: leaf[i], batch)
            life = own.birth(key=key)
            for x, y in zip(episode.stream.x, episode.stream.y, strict=True):
                life = own.step(life, x, y, key=key)[0]
            answers = own.predict(life, episode.query.x)
            total += jnp.mean((answers - episode.query.y) ** 2) / 3
        return total

    gradient, aux = compiled(Unrolled())(learner, batch, key=key)
    assert_close(gradient, compiled(jax.grad(loss))(arrays), 1e-12)
    assert jnp.allclose(aux.loss.mean(), loss(arrays), rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"rematerialise": "steps"},
        {"rematerialise": "blocks"},
        {"block": 4},
        {"block": 100},
    ],
)
def test_saving_memory_changes_nothing(x64, getkey, options):
    x = jr.normal(getkey(), (2, 11, 2))
    batch = episodes(x, target=x[:, ::-1], asked=x[:, 0])
    expected, before = compiled(Unrolled(rematerialise="none"))(leaky(), batch, key=getkey())
    gradient, aux = compiled(Unrolled(**options))(leaky(), batch, key=getkey())
    assert_close(gradient, expected, 1e-13)
    assert jnp.allclose(aux.loss, before.loss, rtol=1e-13)


@pytest.mark.parametrize("moments", [1, 5, 6])
def test_short_lifetimes_need_no_loop(x64, getkey, moments):
    learner, batch = maml(getkey, moments=moments)
    key = getkey()
    expected, before = compiled(Unrolled(rematerialise="steps"))(learner, batch, key=key)
    program = jax.jit(Unrolled()).lower(learner, batch, key=key)
    assert ("stablehlo.while" in program.as_text()) == (moments > 5)
    gradient, aux = compiled(Unrolled())(learner, batch, key=key)
    assert_close(gradient, expected, 1e-13)
    assert jnp.allclose(aux.loss, before.loss, rtol=1e-13)


def test_blocks_need_less_memory(getkey):
    batch = episodes(jr.normal(getkey(), (1, 400, 1)), asked=jnp.ones((1, 50)))
    needed = {}
    for kind in ("none", "blocks"):
        program = jax.jit(Unrolled(rematerialise=kind)).lower(leaky(size=50), batch, key=getkey())
        needed[kind] = program.compile().memory_analysis().temp_size_in_bytes
    assert needed["blocks"] < 0.4 * needed["none"]


def test_where_chooses_what_is_learned(x64, getkey):
    learner = leaky()
    batch = episodes(jr.normal(getkey(), (2, 3, 2)), asked=jnp.ones((2, 2)))
    whole = compiled(Unrolled())(learner, batch, key=getkey())[0]
    where = eqx.tree_at(lambda own: own.decay, jax.tree.map(lambda _: False, learner), True)
    part = compiled(Unrolled())(learner, batch, key=getkey(), where=where)[0]
    assert part.start is None and part.gain is None
    assert_close(part.decay, whole.decay, 1e-14)


def test_impossible_blocks():
    with pytest.raises(UsageError, match="block 0: at least"):
        Unrolled(block=0)
    for how in ("none", "steps"):
        with pytest.raises(UsageError, match=f"block 7 has no part in .*rematerialise {how}"):
            Unrolled(rematerialise=how, block=7)
