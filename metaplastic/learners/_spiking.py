"""A recurrent network of leaky integrate-and-fire neurons, and e-prop: its slope by local traces.

    v_{t+1} = alpha v_t + z_t W_rec + x_t W_in - threshold stopgrad(z_t)
    z_{t+1} = 1 where v_{t+1} > threshold, else 0
    o_{t+1} = kappa o_t + z_{t+1} W_out                        v_0 = z_0 = o_0 = 0

`steps` moments are stored, so that there are `steps - 1` updates, and the input of the last moment
is never seen. For an energy E of the read-outs and a pull on the spikes, e-prop takes

    dE/dW_out = sum_t kappabar(z)_t^T dE/do_t
    dE/dW_ji  = sum_t L_tj kappabar(psi(v) eps_i)_tj + pull_j sum_t psi(v_tj) eps_ti
    L_t = dE/do_t W_out^T,   eps_{t+1} = alpha eps_t + x_t  (z_t for the recurrent synapses)

where kappabar is the low-pass filter of the read-out and psi a pseudo-derivative of the spike: the
exact gradient but for what spikes do to other neurons through recurrent synapses. Bellec et al.
(2020), "A solution to the learning dilemma for recurrent networks of spiking neurons".
"""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Surrogate = Literal["triangle", "fast_sigmoid"]
"""Pseudo-derivative of a spike: damping max(0, 1 - |v - thr| / thr), or 1 / (100 |v - thr| + 1)^2.
"""

Spikes = Float[Array, "time batch units"]
Readouts = Float[Array, "time batch outputs"]
Trains = Float[Array, "batch time inputs"]

_STEEPNESS = 100.0
"""Of the fast sigmoid."""


class Synapses(NamedTuple):
    """All weights of the network; rows are presynaptic."""

    into: Float[Array, "inputs units"]
    recurrent: Float[Array, "units units"]
    out: Float[Array, "units outputs"]


class Record(NamedTuple):
    """What the network did, time first; the first moment is all zeros."""

    spikes: Spikes
    voltage: Spikes
    readout: Readouts


class Teaching(NamedTuple):
    """What the synapses are told: derivatives of an energy."""

    error: Readouts
    """dE/do_t"""
    pull: Float[Array, "batch units"]
    """dE/dz_t beside what goes through the read-out, the same at all times."""


class Neurons(eqx.Module):
    """Constants of the neurons; every one is a Python number and is not learned."""

    membrane: float = eqx.field(static=True, default=30.0)
    """Time constant of the voltage in moments, alpha = exp(-1 / membrane)."""
    readout: float = eqx.field(static=True, default=30.0)
    """Time constant of the read-out in moments, kappa = exp(-1 / readout)."""
    threshold: float = eqx.field(static=True, default=0.1)
    surrogate: Surrogate = eqx.field(static=True, default="triangle")
    damping: float = eqx.field(static=True, default=0.3)
    """Height of the triangle."""

    def run(self, synapses: Synapses, x: Trains) -> Record:
        """The network driven by spike trains, or by any currents, `x`."""
        alpha = _decay(self.membrane)
        current = jnp.swapaxes(x[:, :-1], 0, 1) @ synapses.into
        still = jnp.zeros((x.shape[0], synapses.recurrent.shape[0]), current.dtype)

        def moment(state: tuple[jax.Array, jax.Array], drive: jax.Array):
            v, z = state
            reset = self.threshold * jax.lax.stop_gradient(z)
            v = alpha * v + z @ synapses.recurrent + drive - reset
            z = spike(v - self.threshold, self)
            return (v, z), (v, z)

        _, (v, z) = jax.lax.scan(moment, (still, still), current)
        v, z = (jnp.concatenate([still[None], own]) for own in (v, z))
        return Record(z, v, filtered(self.readout, z @ synapses.out))

    def derivative(self, distance: jax.Array) -> jax.Array:
        """psi: what is taken for dz/dv at a distance `v - threshold`."""
        if self.surrogate == "triangle":
            return self.damping * jnp.maximum(0.0, 1.0 - jnp.abs(distance) / self.threshold)
        return 1.0 / jnp.square(_STEEPNESS * jnp.abs(distance) + 1.0)

    def eprop(self, synapses: Synapses, x: Trains, record: Record, teaching: Teaching) -> Synapses:
        """e-prop with the teaching signals filtered backwards in time.

        sum_t L_t sum_{s<=t} kappa^{t-s} e_s = sum_s e_s sum_{t>=s} kappa^{t-s} L_t, so that one
        matrix product a set of synapses is enough, and no trace of a synapse is stored. The sum is
        that of `eprop_online`, but not one that a neuron could take while time passes.
        """
        error = filtered(self.readout, teaching.error, backwards=True)
        told = error @ synapses.out.T + teaching.pull
        told = self.derivative(record.voltage - self.threshold) * told
        pre = jnp.swapaxes(x, 0, 1)
        return Synapses(
            _over_time(self._presynaptic(pre), told),
            _over_time(self._presynaptic(record.spikes), told),
            _over_time(record.spikes, error),
        )

    def eprop_online(
        self, synapses: Synapses, x: Trains, record: Record, teaching: Teaching
    ) -> Synapses:
        """e-prop as it happens: traces that every synapse carries forwards in time.

        At each moment a synapse reads its own traces, and its neuron's voltage and teaching signal
        of that moment. Traces are [batch, pre, post]: much memory, and much slower than `eprop`.
        """
        alpha, kappa = _decay(self.membrane), _decay(self.readout)
        batch, units = record.spikes.shape[1:]
        pre = (jnp.swapaxes(x, 0, 1), record.spikes)

        def moment(carry: tuple, now: tuple) -> tuple[tuple, None]:
            presynaptic, traces, filtered_spikes, slope = carry
            received, z, v, error = now
            psi = self.derivative(v - self.threshold)
            eligible = [eps[:, :, None] * psi[:, None, :] for eps in presynaptic]
            traces = [kappa * a + b for a, b in zip(traces, eligible, strict=True)]
            filtered_spikes = kappa * filtered_spikes + z
            signal = error @ synapses.out.T
            changes = [
                jnp.einsum("bij,bj->ij", trace, signal) + jnp.einsum("bij,bj->ij", own, pull)
                for trace, own in zip(traces, eligible, strict=True)
            ]
            changes.append(filtered_spikes.T @ error)
            slope = [a + b for a, b in zip(slope, changes, strict=True)]
            # What arrives now reaches the voltage of the next moment.
            presynaptic = [alpha * a + b for a, b in zip(presynaptic, received, strict=True)]
            return (presynaptic, traces, filtered_spikes, slope), None

        pull = teaching.pull
        start = (
            [jnp.zeros_like(own[0]) for own in pre],
            [jnp.zeros((batch, own.shape[2], units), own.dtype) for own in pre],
            jnp.zeros_like(record.spikes[0]),
            [jnp.zeros_like(own) for own in synapses],
        )
        now = (pre, record.spikes, record.voltage, teaching.error)
        return Synapses(*jax.lax.scan(moment, start, now)[0][3])

    def _presynaptic(self, arrived: jax.Array) -> jax.Array:
        """eps: what arrived before each moment, through the membrane's filter."""
        before = jnp.concatenate([jnp.zeros_like(arrived[:1]), arrived[:-1]])
        return filtered(self.membrane, before)


@jax.custom_jvp
def _heaviside(distance: jax.Array, slope: jax.Array) -> jax.Array:
    del slope
    return (distance > 0).astype(distance.dtype)


@_heaviside.defjvp
def _heaviside_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    distance, slope = primals
    return _heaviside(distance, slope), slope * tangents[0]


def spike(distance: jax.Array, neurons: Neurons) -> jax.Array:
    """1 where v - threshold is positive, else 0; for whoever differentiates, psi."""
    return _heaviside(distance, neurons.derivative(distance))


def filtered(
    constant: float, signal: Float[Array, "time ..."], *, backwards: bool = False
) -> Float[Array, "time ..."]:
    """sum_{s<=t} decay^{t-s} signal_s, or over s >= t; decay = exp(-1 / constant).

    A product with a [time, time] matrix: faster than a scan for some hundred moments.
    """
    lag = jnp.arange(signal.shape[0])
    lag = lag[:, None] - lag[None, :]
    weight = jnp.exp(-jnp.abs(lag).astype(signal.dtype) / constant)
    weight = jnp.where((-lag if backwards else lag) >= 0, weight, 0.0)
    return jnp.tensordot(weight, signal, 1)


def _over_time(pre: jax.Array, post: jax.Array) -> jax.Array:
    """sum over time and examples of pre^T post."""
    return pre.reshape(-1, pre.shape[-1]).T @ post.reshape(-1, post.shape[-1])


def _decay(constant: float) -> float:
    return math.exp(-1.0 / constant)
