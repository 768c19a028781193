"""Short-term plasticity: synapses that remember and forget, each at a pace that is learned."""

import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from .._errors import require_not_negative, require_positive
from .._types import Key
from ..models._activations import ACTIVATIONS, ActivationName
from ..tasks.base import AbstractTask, Stream
from ._copies import own_copy
from ._moments import moments, stepper
from ._sequence import AbstractSequenceLearner, bounded, check_hidden, draw_readout, inputs_of
from ._traces import Granularity
from .hebbian import Readout

NormaliseName = Literal["none", "pre", "post"]
"""When synaptic memories are divided by a norm: never; by that of the efficacies which acted,
before they decay; or by that of the new efficacies, after they changed."""

Synapses = Float[Array, "units entering"]
Units = Float[Array, " units"]
_KEPT = jax.checkpoint_policies.save_only_these_names("norm", "post")
_SMALLEST = 1e-30
"""Of a squared norm: a unit without synapses divides by no zero."""


class Pace(eqx.Module):
    """How fast memories of one kind are kept and written; not constrained."""

    decay: Array
    """lambda, what is kept from moment to moment: one a synapse, one a unit, or one for all."""
    rate: Array
    """gamma, what the product of activities is multiplied by; of the same shape."""


class SynapticLife(eqx.Module):
    """Fast state of a network with short-term plasticity; all zero at birth."""

    activity: Units | None
    """`h` of the moment before; None in a feed-forward network."""
    memory: Synapses | None
    """`F`; None without plasticity."""
    bias: Units | None
    """`B`, the memory of the biases, where they are plastic."""


class ShortTermLearner(AbstractSequenceLearner):
    """Fixed weights plus synaptic memories, which decay and are written by pre times post.

        u_t = [x_t, h_{t-1}]   (feed-forward: x_t)
        G = W + F,   n_i = sqrt(sum_j G_ij^2)
        h_t = f(G u_t / n + b)
        none:  F' = lambda F + gamma h_t u_t^T
        pre:   F' = lambda F / n + gamma h_t u_t^T
        post:  F' = E / |W + E|,   E = lambda F + gamma h_t u_t^T
        output_t = h_t V + c,   h_0 = 0,   F_0 = 0

    element by element; norms are those of rows: the synapses of one unit, over its inputs. In all
    three, what a unit receives is divided by n, unless `weight_norm` is off. Options: `E` or `F'`
    clipped to +-clamp, before the norm of `post`; the increment of Oja's subspace rule,
    h_t (u_t - F^T h_t)^T with the F that decays (F / n in `pre`); decay after writing,
    lambda (F + gamma h u^T); a memory of the bias, B' = lambda_b B + gamma_b h_t, added to b.

    Rows of `W` [units, entering] hold the synapses of one unit, unlike elsewhere in this package.
    Meta-parameters: `W`, `b`, lambda, gamma, `V`, `c`. A life is `h` and `F`, of one sequence.

    Garcia Rodriguez, Guo & Moraitis (2022), "Short-term plasticity neurons learning to learn and
    forget", and its released code: `pre` in retrieval and Pong, `post` in the maze.
    """

    weight: Synapses
    bias: Units
    pace: Pace | None
    """None: no plasticity, which is gamma held at zero."""
    bias_pace: Pace | None
    readout: Readout
    told: int = eqx.field(static=True)
    recurrent: bool = eqx.field(static=True)
    normalise: NormaliseName = eqx.field(static=True)
    weight_norm: bool = eqx.field(static=True)
    clamp: float | None = eqx.field(static=True)
    oja: bool = eqx.field(static=True)
    prompt: bool = eqx.field(static=True)
    activation: ActivationName = eqx.field(static=True)

    def start(self) -> SynapticLife:
        zero = jnp.zeros_like(self.bias)
        return SynapticLife(
            zero if self.recurrent else None,
            None if self.pace is None else jnp.zeros_like(self.weight),
            None if self.bias_pace is None else zero,
        )

    def advance(
        self, life: SynapticLife, entering: Float[Array, " inputs"]
    ) -> tuple[SynapticLife, Units]:
        # Derivatives compute what is of the size of the synapses again: to keep it would take
        # longer, since it is more than fits into a cache.
        return eqx.filter_checkpoint(type(self)._moment, policy=_KEPT, prevent_cse=False)(
            self, life, entering
        )

    def _moment(
        self, life: SynapticLife, entering: Float[Array, " inputs"]
    ) -> tuple[SynapticLife, Units]:
        pre = self._pre(life, entering)
        efficacy, norm = self._efficacy(life)
        received = efficacy @ pre
        if self.weight_norm:
            received = received / norm  # and not G / n, which would be another matrix
        bias = self.bias if life.bias is None else self.bias + life.bias
        post = checkpoint_name(ACTIVATIONS[self.activation].value(received + bias), "post")
        after = SynapticLife(
            post if self.recurrent else None,
            self._written(life.memory, norm, pre, post),
            self._bias_written(life.bias, post),
        )
        return after, post

    def energy(self, life: SynapticLife, entering: Float[Array, " inputs"]) -> Units:
        """With the efficacies that act: G / n where what is received is divided by n."""
        efficacy, norm = self._efficacy(life)
        cost = jnp.abs(efficacy) @ jnp.square(self._pre(life, entering))
        return cost / norm if self.weight_norm else cost

    def unfold(self, stream: Stream, *, key: Key) -> tuple[Any, Any]:
        return stepper(self._own_copy(key), key=key), moments(self, stream)

    def _pre(self, life: SynapticLife, entering: Float[Array, " inputs"]) -> Array:
        """`u`."""
        return entering if life.activity is None else jnp.concatenate([entering, life.activity])

    def _efficacy(self, life: SynapticLife) -> tuple[Synapses, Units]:
        """`G` and `n`."""
        efficacy = self.weight if life.memory is None else self.weight + life.memory
        return efficacy, checkpoint_name(row_norms(efficacy), "norm")

    def _written(
        self, memory: Synapses | None, norm: Units, pre: Array, post: Units
    ) -> Synapses | None:
        """`F'`."""
        if memory is None or self.pace is None:
            return None
        part = 1 / norm if self.normalise == "pre" else jnp.ones_like(norm)
        towards = pre - (post * part) @ memory if self.oja else pre
        # As a product of matrices, whose derivatives are such, not sums in a loop.
        written = self.pace.rate * jnp.einsum("i,j->ij", post, towards)
        if self.prompt:
            written = self.pace.decay * written
        after = (self.pace.decay * part[:, None]) * memory + written
        if self.clamp is not None:
            after = jnp.clip(after, -self.clamp, self.clamp)
        if self.normalise == "post":
            after = after / row_norms(self.weight + after)[:, None]
        return after

    def _bias_written(self, memory: Units | None, post: Units) -> Units | None:
        """`B'`."""
        if memory is None or self.bias_pace is None:
            return None
        decay, written = self.bias_pace.decay, self.bias_pace.rate * post
        after = decay * (memory + written) if self.prompt else decay * memory + written
        return after if self.clamp is None else jnp.clip(after, -self.clamp, self.clamp)

    def _own_copy(self, key: Key) -> "ShortTermLearner":
        """The same synapses, but each lifetime's own, so that derivatives are summed once."""
        if self.pace is None:
            return self
        own = own_copy((self.weight, self.pace), key=key)
        return eqx.tree_at(lambda learner: (learner.weight, learner.pace), self, own)


def row_norms(synapses: Synapses) -> Units:
    """Euclidean norm of each row."""
    # A product with ones: sums along rows are slow on a CPU.
    ones = jnp.ones((synapses.shape[1],), synapses.dtype)
    return jnp.sqrt(jnp.maximum(jnp.square(synapses) @ ones, _SMALLEST))


def stpn(
    task: AbstractTask,
    *,
    hidden: int = 11,
    recurrent: bool = True,
    plastic: bool = True,
    normalise: NormaliseName = "pre",
    weight_norm: bool = True,
    granularity: Granularity = "synapse",
    spread: float = 1e-3,
    clamp: float | None = None,
    oja: bool = False,
    prompt: bool = False,
    plastic_bias: bool = False,
    activation: ActivationName = "tanh",
    key: Key,
) -> ShortTermLearner:
    """A network with short-term plasticity for a task, with the paper's initial scales.

    lambda ~ U(0, 1), gamma ~ U(+-spread)/sqrt(units), W, b ~ U(+-1)/sqrt(units); in a feed-forward
    network, inputs in place of units.

    Args:
        task: What it is to learn.
        hidden: Units.
        recurrent: Units receive the activity of the moment before; without, inputs alone.
        plastic: Synapses have a memory; without, gamma is zero for ever.
        normalise: Memories are divided by no norm, by that of the efficacies before they decay
            (pre), or by that of the new efficacies (post).
        weight_norm: What a unit receives is divided by the norm of its synapses.
        granularity: Who has a decay and a rate of its own: each synapse, each unit (neuron), or all
            share one (global).
        spread: Largest rate at first, times the square root of the units.
        clamp: Largest size of a memory; unbounded where it is not given.
        oja: Memories are written by Oja's rule.
        prompt: What is written decays at once.
        plastic_bias: Biases have a memory too.
        activation: Activation of the units.
        key: Draws what is learned.
    """
    check_hidden(hidden)
    require_positive("--learner.clamp", clamp)
    require_not_negative("--learner.spread", spread)
    inputs, told = inputs_of(task)
    shape = (hidden, inputs + hidden if recurrent else inputs)
    fan = hidden if recurrent else inputs
    keys = jr.split(key, 5)
    own = {"synapse": shape, "neuron": (hidden, 1), "global": ()}[granularity]
    bias_own = () if granularity == "global" else (hidden,)
    largest = spread / math.sqrt(fan)
    return ShortTermLearner(
        weight=bounded(shape, fan, key=keys[0]),
        bias=bounded((hidden,), fan, key=keys[1]),
        pace=_pace(own, largest, key=keys[2]) if plastic else None,
        bias_pace=_pace(bias_own, largest, key=keys[3]) if plastic_bias else None,
        readout=draw_readout(hidden, task.outputs, key=keys[4]),
        told=told,
        recurrent=recurrent,
        normalise=normalise,
        weight_norm=weight_norm,
        clamp=clamp,
        oja=oja,
        prompt=prompt,
        activation=activation,
    )


def _pace(shape: tuple[int, ...], largest: float, *, key: Key) -> Pace:
    decay_key, rate_key = jr.split(key)
    return Pace(
        jr.uniform(decay_key, shape), jr.uniform(rate_key, shape, minval=-largest, maxval=largest)
    )
