"""A feed-forward network with one decay and one Hebbian rate for all of its synapses."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key
from ..tasks.base import AbstractTask, Stream
from ._copies import own_copy
from ._moments import moments, stepper
from ._sequence import (
    AbstractSequenceLearner,
    bounded,
    check_decay,
    check_hidden,
    draw_readout,
    inputs_of,
)
from .hebbian import Readout

SignName = Literal["free", "hebb", "anti"]
"""The sign of the Hebbian rate: learned, or held positive or negative."""

_SIGNS = {"hebb": 1.0, "anti": -1.0}


class HebbianFeedForwardLearner(AbstractSequenceLearner):
    """One hidden layer; its synapses remember what came with its activity, until they forget.

        h_t = s((W + A_{t-1}) x_t + b),   output_t = h_t V + c
        A_t = decay A_{t-1} + eta h_t x_t^T

    with the logistic function `s` and `A_0 = 0`. Rows of `W` and `A` [units, inputs] hold the
    synapses of one unit. Meta-parameters: `W`, `b`, `V`, `c`, `decay`, which is held between 0 and
    1, and `eta`. Where its sign is held, `eta = +-exp(e)` and `e` is learned. A life is `A`.

    Tyulmankov, Yang & Abbott (2022), "Meta-learning synaptic plasticity and memory addressing for
    continual familiarity detection", equations 1 and 2; their one logistic output is two classes
    here.
    """

    weight: Float[Array, "units inputs"]
    bias: Float[Array, " units"]
    decay: Float[Array, ""]
    eta: Float[Array, ""]
    """The rate; where its sign is held, the logarithm of its size."""
    readout: Readout
    told: int = eqx.field(static=True)
    sign: SignName = eqx.field(static=True)

    def start(self) -> Float[Array, "units inputs"]:
        return jnp.zeros_like(self.weight)

    def advance(
        self, life: Float[Array, "units inputs"], entering: Float[Array, " inputs"]
    ) -> tuple[Float[Array, "units inputs"], Float[Array, " units"]]:
        # Two products: many lifetimes share the first one's weights.
        received = self.weight @ entering + life @ entering + self.bias
        activity = jax.nn.sigmoid(received)
        product = jnp.einsum("i,j->ij", self.signed_rate() * activity, entering)
        return self.decay * life + product, activity

    def energy(
        self, life: Float[Array, "units inputs"], entering: Float[Array, " inputs"]
    ) -> Float[Array, " units"]:
        return jnp.abs(self.weight + life) @ jnp.square(entering)

    def unfold(self, stream: Stream, *, key: Key) -> tuple[Any, Any]:
        paces = own_copy((self.decay, self.eta), key=key)
        own = eqx.tree_at(lambda learner: (learner.decay, learner.eta), self, paces)
        return stepper(own, key=key), moments(self, stream)

    def signed_rate(self) -> Float[Array, ""]:
        """eta."""
        return self.eta if self.sign == "free" else _SIGNS[self.sign] * jnp.exp(self.eta)

    def constrained(self) -> "HebbianFeedForwardLearner":
        return eqx.tree_at(lambda own: own.decay, self, jnp.clip(self.decay, 0.0, 1.0))


def hebb_ff(
    task: AbstractTask,
    *,
    hidden: int = 26,
    decay: float = 0.99,
    eta: float | None = None,
    sign: SignName = "free",
    key: Key,
) -> HebbianFeedForwardLearner:
    """A feed-forward Hebbian network for a task; W, b ~ U(+-1/sqrt(inputs)).

    Args:
        task: What it is to learn.
        hidden: Units.
        decay: What is kept of the Hebbian weights from moment to moment, at first.
        eta: Hebbian rate at first; -5 / inputs if it is not given, or 5 / inputs with `hebb`.
        sign: The rate's sign is learned (free), or held positive (hebb) or negative (anti).
        key: Draws the initial weights.
    """
    check_hidden(hidden)
    check_decay(decay)
    inputs, told = inputs_of(task)
    if eta is None:
        eta = _SIGNS["hebb" if sign == "hebb" else "anti"] * 5 / inputs
    _check_sign(eta, sign)
    weight_key, bias_key, readout_key = jr.split(key, 3)
    weight = bounded((hidden, inputs), inputs, key=weight_key)
    rate = jnp.asarray(eta, weight.dtype)
    return HebbianFeedForwardLearner(
        weight=weight,
        bias=bounded((hidden,), inputs, key=bias_key),
        decay=jnp.asarray(decay, weight.dtype),
        eta=rate if sign == "free" else jnp.log(jnp.abs(rate)),
        readout=draw_readout(hidden, task.outputs, key=readout_key),
        told=told,
        sign=sign,
    )


def _check_sign(eta: float, sign: str) -> None:
    if sign != "free" and not eta * _SIGNS[sign] > 0:
        raise UsageError(
            f"--learner.eta {eta:g}: the sign of a rate that is held by --learner.sign {sign} must "
            "be its own: change one of them"
        )
