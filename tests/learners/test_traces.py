"""Traces against loops over their synapses; coefficients and modulators by their shapes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.learners import _traces
from metaplastic.learners._traces import Plasticity


def activity(key, batch=1):
    """trace, eligibility [3, 4], pre [batch, 3], post [batch, 4], as large as bounds are felt."""
    keys = jr.split(key, 4)
    return (
        0.9 * jr.normal(keys[0], (3, 4)),
        jr.normal(keys[1], (3, 4)),
        jr.normal(keys[2], (batch, 3)),
        jr.normal(keys[3], (batch, 4)),
    )


def loops(one, *, batch):
    """A matrix from `one(i, j, b)`, mean over the batch."""
    return np.array(
        [[np.mean([one(i, j, b) for b in range(batch)]) for j in range(4)] for i in range(3)]
    )


@pytest.mark.parametrize("batch", [1, 5])
def test_each_trace_is_its_equation(batch, x64, getkey):
    h, e, pre, post = activity(getkey(), batch)
    eta, bound, signal = 0.3, 1.0, jr.normal(getkey(), (batch, 4))
    ours = {
        "exponential": _traces.exponential(h, pre, post, eta),
        "oja": _traces.oja(h, pre, post, eta),
        "clipped": _traces.clipped(h, pre, post, eta, bound),
        "modulated": _traces.modulated(h, pre, post, signal, bound),
        "retroactive": _traces.retroactive(h, e, pre, post, signal, eta, bound)[0],
    }
    eligibility = _traces.retroactive(h, e, pre, post, signal, eta, bound)[1]
    h, e, pre, post, signal = map(np.asarray, (h, e, pre, post, signal))
    expected = {
        "exponential": lambda i, j, b: (1 - eta) * h[i, j] + eta * pre[b, i] * post[b, j],
        "oja": lambda i, j, b: h[i, j] + eta * (pre[b, i] * post[b, j] - h[i, j] * post[b, j] ** 2),
        "clipped": lambda i, j, b: h[i, j] + eta * pre[b, i] * post[b, j],
        "modulated": lambda i, j, b: h[i, j] + signal[b, j] * pre[b, i] * post[b, j],
        "retroactive": lambda i, j, b: h[i, j] + signal[b, j] * e[i, j],
    }
    for name, own in ours.items():
        theirs = loops(expected[name], batch=batch)
        if name not in ("exponential", "oja"):
            assert (abs(theirs) > bound).any()  # else nothing is seen of the bound
            theirs = theirs.clip(-bound, bound)
        np.testing.assert_allclose(own, theirs, rtol=1e-12)
    theirs = loops(lambda i, j, b: (1 - eta) * e[i, j] + eta * pre[b, i] * post[b, j], batch=batch)
    np.testing.assert_allclose(eligibility, theirs, rtol=1e-12)


def test_ojas_trace_settles_where_the_activity_says(x64):
    """A constant activity leads to H = pre / post: forgetting balances the product."""
    pre, post = jnp.array([[0.5, -1.0, 0.0]]), jnp.array([[0.5, -0.8, 1.0, 0.4]])
    trace = jnp.zeros((3, 4))
    for _ in range(2000):
        trace = _traces.oja(trace, pre, post, 0.1)
    np.testing.assert_allclose(trace, pre.T / post, atol=1e-10)


@pytest.mark.parametrize(
    "granularity, shape", [("synapse", (3, 4)), ("neuron", (4,)), ("global", ())]
)
def test_efficacy_shares_coefficients_as_asked(granularity, shape, getkey):
    plasticity = Plasticity(3, 4, granularity=granularity, key=getkey())
    assert plasticity.alpha.shape == shape
    w, h = jr.normal(getkey(), (3, 4)), jr.normal(getkey(), (3, 4))
    traces = eqx.tree_at(lambda own: own.trace, plasticity.start(), h)
    alpha = np.broadcast_to(plasticity.alpha, (3, 4))
    np.testing.assert_allclose(plasticity.efficacy(w, traces), w + alpha * h, rtol=1e-6)


@pytest.mark.parametrize("modulation", ["simple", "spread", "retroactive", "retroactive_spread"])
def test_the_signal_is_the_networks_own(modulation, x64, getkey):
    plasticity = Plasticity(3, 4, modulation=modulation, read=2, eta=0.5, bound=9.0, key=getkey())
    m = plasticity.modulator
    pre, post, read = jnp.ones((1, 3)), jnp.array([[0.5, -1.0, 2.0, 1.0]]), jnp.array([[1.0, -2.0]])
    signal = np.tanh(m.readout[0] - 2 * m.readout[1] + m.bias) * np.ones(4)
    if modulation.endswith("spread"):
        signal = signal * m.spread + m.spread_bias
    first = plasticity.update(plasticity.start(), pre, post, read)
    second = plasticity.update(first, pre, post, read)
    product = np.ones((3, 1)) * post
    if modulation.startswith("retroactive"):
        assert not first.trace.any()  # it reads the eligibility before the moment
        np.testing.assert_allclose(second.trace, signal * 0.5 * product, rtol=1e-12)
        np.testing.assert_allclose(second.eligibility, 0.75 * product, rtol=1e-12)
    else:
        np.testing.assert_allclose(second.trace, 2 * signal * product, rtol=1e-12)


def test_learned_rates_and_signs_are_brought_back(getkey):
    plasticity = Plasticity(3, 4, learn_eta=True, key=getkey())
    away = eqx.tree_at(lambda p: (p.eta, p.alpha), plasticity, (jnp.array(-0.2), -jnp.ones((3, 4))))
    assert away.constrained().eta == 0 and (away.constrained().alpha == -1).all()
    assert (away.constrained(positive=True).alpha == jnp.float32(1e-6)).all()
    fixed = Plasticity(3, 4, key=getkey())
    assert fixed.constrained().eta == 0.02


def test_a_learned_rate_has_a_derivative(x64, getkey):
    plasticity = Plasticity(3, 4, learn_eta=True, eta=0.1, key=getkey())
    pre, post = jr.normal(getkey(), (1, 3)), jr.normal(getkey(), (1, 4))

    def total(eta):
        own = eqx.tree_at(lambda p: p.eta, plasticity, eta)
        traces = own.start()
        for _ in range(3):
            traces = own.update(traces, pre, post)
        return traces.trace.sum()

    expected = 3 * 0.9**2 * jnp.outer(pre[0], post[0]).sum()  # d/deta (1 - (1 - eta)^3)
    np.testing.assert_allclose(jax.grad(total)(jnp.array(0.1)), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"eta": 1.5}, "between 0 and 1"),
        ({"bound": 0.0}, "must be positive"),
        ({"kind": "oja", "modulation": "simple"}, "no modulated form"),
    ],
)
def test_impossible_plasticity_is_one_sentence(options, words, getkey):
    with pytest.raises(UsageError, match=words):
        Plasticity(3, 4, **options, key=getkey())


def test_a_rate_that_does_not_act_is_not_learned(getkey):
    for modulation, acts in (("simple", False), ("spread", False), ("retroactive", True)):
        own = Plasticity(3, 4, modulation=modulation, learn_eta=True, key=getkey())
        assert eqx.is_array(own.eta) == acts
