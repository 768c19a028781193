"""A step of settling by e-prop: filtered teaching signals against traces at every synapse."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from ..learners.eprop import SlopeName, eprop
from ..learners.solver import Batch
from ..tasks.spiking_sinusoid import SpikingSinusoid
from ._timing import seconds_each, turned

_STEPS: dict[SlopeName, int] = {"eprop": 200, "eprop_online": 20, "bptt": 200}
"""Steps of one measurement."""


def run() -> list[dict[str, Any]]:
    """A step on 10 points, 20 moments, of a network of 100 inputs, 100 neurons and one output.

    All programs run the network, form the slope and descend it.
    """
    seconds = seconds_each({form: _descent(form) for form in _STEPS})
    each = {form: [own / _STEPS[form] for own in seconds[form]] for form in _STEPS}
    traces = "traces at synapses / filtered teaching signals"
    return [
        turned(traces, each["eprop_online"], each["eprop"], ">= 5"),
        turned("backpropagation through time / e-prop", each["bptt"], each["eprop"], "> 1"),
    ]


def _descent(form: SlopeName) -> Callable[[], Any]:
    task = SpikingSinusoid()
    learner = eprop(task, slope=form, key=jr.key(0))
    learner = dataclasses.replace(learner, neurons=eprop(task, key=jr.key(0)).neurons)
    u = jr.uniform(jr.key(1), (10, 1))
    batch = Batch(task.spikes(u, key=jr.key(2)), 2 * jnp.sin(10 * u))

    def step(fast: Any, _: None) -> tuple[Any, None]:
        slope = learner.learn_slope(fast, batch, key=jr.key(0))
        return jax.tree.map(lambda w, own: w - 1e-4 * own, fast, slope), None

    steps = jax.jit(lambda fast: jax.lax.scan(step, fast, None, length=_STEPS[form])[0])
    return lambda: steps(learner.consolidated)
