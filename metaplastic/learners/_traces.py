"""Hebbian traces: the fast part of plastic synapses, and who may switch it.

A matrix of plastic synapses from `inputs` to `units` acts as `w + alpha * H`: a fixed part `w`, a
plasticity coefficient `alpha`, and a trace `H` of the activity on both sides. As everywhere in
this package rows are presynaptic and columns postsynaptic: `w`, `H` and `alpha` per connection
are [inputs, units], activities are [batch, inputs] and [batch, units]. A batch has one trace,
which moves by the mean over the batch.

The functions are the equations, one each; `Plasticity` holds the coefficients and chooses among
them. A learner uses it in three places:

    traces = plasticity.start()                          # birth: all zero
    post = f(pre @ plasticity.efficacy(w, traces) + b)   # answer, with the trace before this moment
    traces = plasticity.update(traces, pre, post)        # then change

In a recurrent layer `pre` is the layer's earlier activity and `post` the present one.
"""

from collections.abc import Mapping
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError, require_positive
from .._types import Key
from ..models._initialisers import draw

TraceName = Literal["exponential", "oja", "clipped"]
"""The names of traces."""
ModulationName = Literal["none", "simple", "spread", "retroactive", "retroactive_spread"]
"""Who gates the change of a trace; `spread`: the signal reaches each unit with its own weight."""
WITHOUT_RATE = ("simple", "spread")
"""Modulation by a signal that is itself the rate of the trace."""
Granularity = Literal["synapse", "neuron", "global"]
"""Who has a plasticity coefficient: each connection, each (postsynaptic) unit, or all share one."""

Pre = Float[Array, "batch inputs"]
Post = Float[Array, "batch units"]
Trace = Float[Array, "inputs units"]
Signal = Float[Array, "batch *units"]
Rate = Float[Array, ""] | float


def correlation(pre: Pre, post: Post) -> Trace:
    """pre^T post, mean over the batch."""
    return pre.T @ post / pre.shape[0]


def exponential(trace: Trace, pre: Pre, post: Post, eta: Rate) -> Trace:
    """H' = (1 - eta) H + eta pre^T post: a running average, which forgets with gamma = 1 - eta.

    Miconi (2016), "Learning to learn with backpropagation of Hebbian plasticity"; 1 - gamma stands
    at the new product as in that paper's gradients and code (its equation 1 has gamma there).
    """
    return (1 - eta) * trace + eta * correlation(pre, post)


def oja(trace: Trace, pre: Pre, post: Post, eta: Rate) -> Trace:
    """H' = H + eta (pre^T post - H * post^2), post^2 along the columns.

    Oja's rule forgets only while the unit is active. Miconi, Clune & Stanley (2018),
    "Differentiable plasticity".
    """
    return trace + eta * (correlation(pre, post) - trace * jnp.square(post).mean(0))


def clipped(trace: Trace, pre: Pre, post: Post, eta: Rate, bound: float) -> Trace:
    """H' = clip(H + eta pre^T post, -bound, bound): nothing is forgotten.

    The control without modulation of Miconi, Rawal, Clune & Stanley (2019), "Backpropamine".
    """
    return jnp.clip(trace + eta * correlation(pre, post), -bound, bound)


def modulated(trace: Trace, pre: Pre, post: Post, signal: Signal, bound: float) -> Trace:
    """H' = clip(H + M pre^T post, -bound, bound), `M` [batch, 1] or one a unit [batch, units].

    Simple neuromodulation, "Backpropamine" (2019).
    """
    return jnp.clip(trace + correlation(pre, signal * post), -bound, bound)


def retroactive(
    trace: Trace,
    eligibility: Trace,
    pre: Pre,
    post: Post,
    signal: Signal,
    eta: Rate,
    bound: float,
) -> tuple[Trace, Trace]:
    """P' = clip(P + M E, -bound, bound), E' = (1 - eta) E + eta pre^T post; returns (P', E').

    The signal turns what was active shortly before into a lasting change: `P` reads `E` before
    this moment. "Backpropamine" (2019).
    """
    after = jnp.clip(trace + signal.mean(0) * eligibility, -bound, bound)
    return after, exponential(eligibility, pre, post, eta)


def require_plastic(plastic: bool, given: Mapping[str, bool]) -> None:
    """Raise `UsageError` for an option of plasticity (is it given?) where there is none."""
    for option in (own for own in given if given[own] and not plastic):
        raise UsageError(
            f"--learner.no-plastic leaves nothing for --learner.{option} to change: leave one out"
        )


class Traces(eqx.Module):
    """Fast state of a matrix of plastic synapses."""

    trace: Trace
    """`H` (or `P`), which the coefficients multiply."""
    eligibility: Trace | None
    """`E` of retroactive modulation; None elsewhere."""


class Modulator(eqx.Module):
    """M = tanh(units r + b), a scalar read out of the network; or M s + c, one a unit."""

    readout: Float[Array, " read"]
    bias: Float[Array, ""]
    spread: Float[Array, " units"] | None
    spread_bias: Float[Array, " units"] | None

    def __init__(self, read: int, units: int, *, spread: bool, key: Key):
        """`read`: number of units that are read; both maps start at U(+-1/sqrt(inputs))."""
        keys = jr.split(key, 4)
        self.readout = draw("fan_in", (read, 1), key=keys[0])[:, 0]
        # U(+-1/sqrt(read)), like the weights
        self.bias = draw("fan_in", (read, 1), key=keys[1])[0, 0]
        self.spread = draw("fan_in", (1, units), key=keys[2])[0] if spread else None
        self.spread_bias = draw("fan_in", (1, units), key=keys[3])[0] if spread else None

    def __call__(self, units: Float[Array, "batch read"]) -> Signal:
        """[batch, 1], or [batch, units] where the signal is spread."""
        signal = jnp.tanh(units @ self.readout + self.bias)[:, None]
        if self.spread is None or self.spread_bias is None:
            return signal
        return signal * self.spread + self.spread_bias


class Plasticity(eqx.Module):
    """Everything about a matrix of synapses that is plastic, beside its fixed weights.

    Its arrays (`alpha`, `eta` where it is learned, the modulator's weights) are meta-parameters.
    """

    alpha: Array
    """Coefficients: [inputs, units], [units] or []."""
    eta: Rate
    """Rate of the trace; 1 - eta is kept from moment to moment. An array where it is learned.
    Simple modulation does not use it: there the signal is the rate."""
    modulator: Modulator | None
    shape: tuple[int, int] = eqx.field(static=True)
    """(inputs, units)."""
    kind: TraceName = eqx.field(static=True)
    modulation: ModulationName = eqx.field(static=True)
    bound: float = eqx.field(static=True)
    """Largest trace, where traces are clipped."""

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        kind: TraceName = "exponential",
        modulation: ModulationName = "none",
        granularity: Granularity = "synapse",
        scale: float = 0.1,
        eta: float = 0.02,
        learn_eta: bool = False,
        bound: float = 1.0,
        read: int | None = None,
        key: Key,
    ):
        """`alpha` ~ scale N(0, 1). `read`: units that the modulator reads (default: `units`). A
        rate that does not act is not learned.

        Raises `UsageError` for a rate outside [0, 1], a bound that is not positive, and a trace
        that has no modulated form.
        """
        if not 0 <= eta <= 1:
            raise UsageError(f"--learner.eta {eta}: the rate of a trace is between 0 and 1")
        require_positive("--learner.bound", bound)
        if modulation != "none" and kind != "exponential":
            raise UsageError(
                f"--learner.trace {kind} has no modulated form: leave it out, or take "
                "--learner.modulation none"
            )
        alpha_key, modulator_key = jr.split(key)
        self.alpha = draw_coefficients((inputs, units), granularity, scale, key=alpha_key)
        learned = learn_eta and modulation not in WITHOUT_RATE
        self.eta = jnp.asarray(eta, self.alpha.dtype) if learned else eta
        self.modulator = None
        if modulation != "none":
            spread = modulation.endswith("spread")
            read = units if read is None else read
            self.modulator = Modulator(read, units, spread=spread, key=modulator_key)
        self.shape, self.kind, self.modulation = (inputs, units), kind, modulation
        self.bound = bound

    def start(self) -> Traces:
        """Traces at birth: all zero."""
        zero = jnp.zeros(self.shape, self.alpha.dtype)
        return Traces(zero, zero if self.modulation.startswith("retroactive") else None)

    def efficacy(self, w: Float[Array, "inputs units"], traces: Traces) -> Trace:
        """w + alpha * H, what the synapses do now."""
        return w + self.alpha * traces.trace

    def update(
        self, traces: Traces, pre: Pre, post: Post, read: Float[Array, "batch read"] | None = None
    ) -> Traces:
        """Traces after a moment; the modulator reads `read` (default: `post`)."""
        trace = traces.trace
        if self.modulator is None:
            if self.kind == "clipped":
                return Traces(clipped(trace, pre, post, self.eta, self.bound), None)
            rule = oja if self.kind == "oja" else exponential
            return Traces(rule(trace, pre, post, self.eta), None)
        signal = self.modulator(post if read is None else read)
        if traces.eligibility is None:
            return Traces(modulated(trace, pre, post, signal, self.bound), None)
        return Traces(
            *retroactive(trace, traces.eligibility, pre, post, signal, self.eta, self.bound)
        )

    def constrained(self, *, positive: bool = False) -> "Plasticity":
        """A learned rate brought back into [0, 1]; with `positive`, alpha at least 1e-6."""
        own = self
        if eqx.is_array(self.eta):
            own = eqx.tree_at(lambda p: p.eta, own, jnp.clip(self.eta, 0.0, 1.0))
        if positive:
            own = eqx.tree_at(lambda p: p.alpha, own, jnp.maximum(self.alpha, 1e-6))
        return own


def draw_coefficients(
    shape: tuple[int, int], granularity: Granularity, scale: float, *, key: Key
) -> jax.Array:
    """scale N(0, 1): [inputs, units] per `synapse`, [units] per `neuron`, [] if `global`."""
    own = {"synapse": shape, "neuron": shape[1:], "global": ()}[granularity]
    return scale * jr.normal(key, own)
