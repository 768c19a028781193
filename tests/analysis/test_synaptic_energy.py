"""The energy of synapses against its sum over synapses, moment by moment."""

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.synaptic_energy import synaptic_energy
from metaplastic.learners.complex_synapse import complex_synapse
from metaplastic.learners.fast_weights import fast_weights
from metaplastic.learners.hebb_ff import hebb_ff
from metaplastic.learners.hebbian_recurrent import hebbian_recurrent
from metaplastic.learners.lstm import lstm
from metaplastic.learners.rnn import rnn
from metaplastic.learners.stpn import stpn
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.continual_familiarity import ContinualFamiliarity

TASK = ContinualFamiliarity(dimension=3, moments=4, interval=(1,))


def synapses(learner, life, x, index):
    """`(efficacies [units, entering], activities [entering])`, all that act at a moment."""
    x = np.asarray(x)
    if index == "stpn":
        g = np.asarray(learner.weight + life.memory)
        g = g / np.sqrt((g**2).sum(1, keepdims=True))
        return [(g, np.concatenate([x, life.activity]))]
    if index == "rnn":
        return [(np.asarray(learner.weight).T, np.concatenate([x, life]))]
    if index == "lstm":
        gates = np.split(np.asarray(learner.weight), 4, axis=1)
        return [(own.T, np.concatenate([x, life.activity])) for own in gates]
    if index == "fast_weights":
        slow = (np.asarray(learner.weight).T, np.concatenate([x, life.activity]))
        received = slow[0] @ slow[1] + np.asarray(learner.bias)
        received = (received - received.mean()) / np.sqrt(received.var() + 1e-5)
        return [slow, (np.asarray(life.fast), np.tanh(received))]
    if index == "hebb_ff":
        return [(np.asarray(learner.weight + life), x)]
    fast = np.asarray(learner.weight + learner.plasticity.alpha * life.traces.trace)
    return [(fast.T, np.asarray(life.activity)[0]), (np.asarray(learner.entrance.weight).T, x)]


@pytest.mark.parametrize(
    "build, options",
    [
        (stpn, {"spread": 1.0}),
        (rnn, {}),
        (lstm, {}),
        (fast_weights, {}),
        (hebb_ff, {}),
        (hebbian_recurrent, {"entry": "dense", "modulation": "simple", "scale": 0.5}),
    ],
)
def test_energy_is_the_sum_over_synapses(build, options, x64, getkey):
    learner = build(TASK, hidden=2, **options, key=getkey())
    episodes, key = jax.vmap(TASK.sample)(jr.split(getkey(), 2)), getkey()
    energy = synaptic_energy(learner, episodes, key=key)
    assert energy.shape == (2, 4, 2)
    life = learner.birth(key=key)
    for t, x in enumerate(episodes.stream.x[1]):
        parts = synapses(learner, life, x[0], build.__name__)
        expected = sum(np.abs(g) @ u**2 for g, u in parts)
        np.testing.assert_allclose(energy[1, t], expected, rtol=1e-10)
        life, _ = learner.step(life, x, None, key=key)


def test_other_learners_are_refused(getkey):
    learner = eqx.filter_eval_shape(complex_synapse, TASK, rule=Backprop(), key=getkey())
    with pytest.raises(UsageError, match="has no synaptic energy"):
        synaptic_energy(learner, TASK.sample(getkey()), key=getkey())
