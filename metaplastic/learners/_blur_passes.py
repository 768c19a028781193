"""The passes of BLUR: activity up, feedback down, and the change of synapses between two layers.

Activities are [batch, states, units], synapses [channels, units below, units above]; forward ones
have a further row for a unit below that is always 1.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models import ACTIVATIONS, ActivationName
from ._blur_products import Activity, Flat, Synapses, by_state, correlate, flat, send
from ._genome import Genome, Norm

BackwardUpdate = Literal["additive", "multiplicative", "second_state"]
SecondState = Literal["activity", "slope"]
Feedback = Literal["target", "error"]
Over = Literal["batch", "layer"]

_EPSILON = 1e-5


class Wiring(NamedTuple):
    """What is fixed about the passes."""

    symmetric: bool
    """Feedback runs through the forward synapses."""
    backward: BackwardUpdate
    activation: ActivationName
    """Of hidden neurons in the forward pass."""
    backward_activation: ActivationName
    output_activation: ActivationName
    second_state: SecondState
    """What the second state is after the forward pass."""
    feedback: Feedback
    """What is written into the second state of the outputs."""
    over: Over
    """Whose statistics normalise: of a unit over the batch, or of the layer and the batch."""


def upwards(
    genome: Genome, synapses: Synapses, below: Activity, name: ActivationName, wiring: Wiring
) -> Activity:
    """sigma(norm(eta sum_{i,d} w_ij^c nu^{cd} a_i^d)), the unit that is always 1 included."""
    w = effective(genome, synapses, axis=1)
    mixer = genome.gain * genome.forward  # rather than gain times a whole batch
    bias = mixer.sum(1)[:, None] * w[:, -1]
    drive = send(below, mixer[:, : below.shape[1]], w[:, :-1]) + bias.reshape(-1)
    drive = normalised(genome.forward_norm, drive, genome.states, wiring.over)
    activation = ACTIVATIONS[name]
    if wiring.second_state == "activity":
        return by_state(activation.value(drive), genome.states)
    drive = by_state(drive, genome.states)
    parts = (
        activation.value(drive[:, :1]),
        activation.slope(drive[:, 1:2]),
        activation.value(drive[:, 2:]),
    )
    return jnp.concatenate(parts, 1)


def downwards(
    genome: Genome, synapses: Synapses, below: Activity, above: Activity, wiring: Wiring
) -> Activity:
    """The activity `below` after `above` has sent its feedback m = sum_{j,d} w_ij^c mu^{cd} a_j^d.

    additive: sigma(norm(f a + eta m)); multiplicative: sigma(norm(f a m)); second_state: the same
    of all states but the first, which stays.
    """
    additive, w = wiring.backward == "additive", effective(genome, synapses, axis=2)
    message = send(above, genome.gain * genome.backward if additive else genome.backward, w.mT)
    kept = genome.keep * flat(below)
    drive = kept + message if additive else kept * message
    drive = normalised(genome.backward_norm, drive, genome.states, wiring.over)
    after = by_state(ACTIVATIONS[wiring.backward_activation].value(drive), genome.states)
    if wiring.backward == "second_state":
        return jnp.concatenate([below[:, :1], after[:, 1:]], 1)
    return after


def effective(genome: Genome, synapses: Synapses, *, axis: int) -> Synapses:
    """Synapses as they act: as they are, or normalised over the presynaptic units."""
    if genome.scale is None:
        return synapses
    return genome.scale * synapses * jax.lax.rsqrt(_square(synapses, axis) + _EPSILON**2)


def normalised(norm: Norm | None, drive: Flat, states: int, over: Over) -> Flat:
    """`drive` with the mean and deviation of the genome, in each state of its own."""
    if norm is None:
        return drive
    units = drive.shape[1] // states
    deviation, mean = (jnp.repeat(own, units) for own in (norm.deviation, norm.mean))
    centred = drive - _mean(drive, states, over)
    variance = _mean(jnp.square(centred), states, over)
    return centred * (deviation * jax.lax.rsqrt(variance + _EPSILON)) + mean


def _mean(drive: Flat, states: int, over: Over) -> Float[Array, " _"]:
    """Over the batch, and for `layer` over the units too."""
    mean = drive.mean(0)
    if over == "batch":
        return mean
    return jnp.repeat(mean.reshape(states, -1).mean(1), len(mean) // states)


def changes(
    genome: Genome, below: Activity, above: Activity, *, symmetric: bool
) -> tuple[Synapses, Synapses | None]:
    """mean_batch (nu~ a_pre) (mu~ a_post) of the synapses up, and of those down."""
    pre, post = genome.pre.T, genome.post
    bias = pre.sum(1)[:, None] * (post @ above.mean(0))
    first = slice(below.shape[1])  # of an input, the first state alone
    if symmetric:
        hebb = correlate(below, above, pre[:, first], post)
        return jnp.concatenate([hebb, bias[:, None]], 1), None
    reads = jnp.concatenate([pre, post])[:, first], jnp.concatenate([post, pre])
    hebb, back = jnp.split(correlate(below, above, *reads), 2)
    return jnp.concatenate([hebb, bias[:, None]], 1), back


def strengthened(genome: Genome, synapses: Synapses, hebb: Synapses, *, axis: int) -> Synapses:
    """Synapses after a moment; the presynaptic units are along `axis`.

        w <- f~ w + eta~ hebb - |eta~| oja w sum_pre w^2

    and then alpha tanh(w / alpha), where the genome has those terms.
    """
    after = genome.synapse_keep * synapses + genome.synapse_rate * hebb
    if genome.oja is not None:
        inhibition = genome.oja * synapses * _square(synapses, axis)
        after = after - jnp.abs(genome.synapse_rate) * inhibition
    if genome.saturation is not None:
        after = genome.saturation * jnp.tanh(after / genome.saturation)
    return after


def _square(synapses: Synapses, axis: int) -> Synapses:
    return jnp.square(synapses).sum(axis, keepdims=True)
