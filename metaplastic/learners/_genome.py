"""The genome of BLUR: the few numbers by which all neurons and synapses of a network change."""

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._types import Key

GenomeInit = Literal["random", "backprop"]
_SPARE = 0.1
"""Standard deviation of what backpropagation says nothing about: states beyond the second."""


class Norm(eqx.Module):
    """Mean and deviation to which what enters a nonlinearity is brought, state by state."""

    mean: Float[Array, " states"]
    deviation: Float[Array, " states"]


class Genome(eqx.Module):
    """How neurons and synapses change, in `states` states and `channels` channels.

    Its arrays are all that meta-learning changes; their shapes do not depend on the network, so
    that one genome runs networks of any width.
    """

    forward: Float[Array, "states states"]
    """nu: what each state of a neuron receives of each state below it."""
    backward: Float[Array, "states states"]
    """mu: what each state of a neuron receives of each state above it."""
    pre: Float[Array, "states channels"]
    """nu~: what a synapse reads of its presynaptic neuron."""
    post: Float[Array, "channels states"]
    """mu~: what a synapse reads of its postsynaptic neuron."""
    keep: Float[Array, ""]
    """f: what a neuron keeps of its activity."""
    gain: Float[Array, ""]
    """eta: what it takes of its input."""
    synapse_keep: Float[Array, ""]
    """f~: what a synapse keeps of itself."""
    synapse_rate: Float[Array, ""]
    """eta~: what it takes of the mean over the batch of what it reads."""
    forward_norm: Norm | None
    """None: the forward pass is not normalised."""
    backward_norm: Norm | None
    oja: Float[Array, ""] | None
    """Strength of the inhibition that bounds synapses; None: there is none."""
    saturation: Float[Array, ""] | None
    """Largest size of a synapse; None: there is none."""
    scale: Float[Array, ""] | None
    """Norm that the synapses of a neuron are given wherever they act; None: they act as they are.
    """

    @property
    def states(self) -> int:
        return self.forward.shape[-1]

    @property
    def channels(self) -> int:
        return self.post.shape[-2]


def make_genome(
    states: int,
    channels: int,
    init: GenomeInit,
    *,
    synapse_rate: float,
    forward_norm: bool,
    backward_norm: bool,
    oja: float | None,
    saturation: float | None,
    scale: float | None,
    key: Key,
) -> Genome:
    """A genome to begin with.

    `random`: all mixers from N(0, 1/states). `backprop`: the first state carries activity up, the
    second the teaching signal down, and synapses change by their product; with one channel

        nu = [[1, 0], [1, 0]]    mu = I    nu~ = (1, 0)^T    mu~ = (0, 1)

    and with two nu~ = I, mu~ = [[0, 1], [1, 0]]. States beyond the second are drawn from
    N(0, 0.01). Sandler et al. (2021), "Meta-learning bidirectional update rules", section 4.5.
    """
    spread = _SPARE if init == "backprop" else 1 / math.sqrt(states)
    shapes = ((states, states), (states, states), (states, channels), (channels, states))
    mixers = [
        spread * jr.normal(own, shape) for own, shape in zip(jr.split(key, 4), shapes, strict=True)
    ]
    if init == "backprop":
        few = min(channels, 2)
        both, identity = jnp.asarray([[1.0, 0.0], [1.0, 0.0]]), jnp.eye(2)
        known = (both, identity, identity[:, :few], identity[::-1][:few])
        mixers = [
            mixer.at[: own.shape[0], : own.shape[1]].set(own)
            for mixer, own in zip(mixers, known, strict=True)
        ]
    return Genome(
        *mixers,
        keep=jnp.ones(()),
        gain=jnp.ones(()),
        synapse_keep=jnp.ones(()),
        synapse_rate=jnp.asarray(synapse_rate, mixers[0].dtype),
        forward_norm=_standard(states) if forward_norm else None,
        backward_norm=_standard(states) if backward_norm else None,
        oja=_number(oja),
        saturation=_number(saturation),
        scale=_number(scale),
    )


def _standard(states: int) -> Norm:
    return Norm(jnp.zeros((states,)), jnp.ones((states,)))


def _number(value: float | None) -> jax.Array | None:
    return None if value is None else jnp.asarray(value, jnp.result_type(float))
