"""A recurrent network with a second, quickly changing set of recurrent weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key
from ..models._activations import ACTIVATIONS, ActivationName
from ..tasks.base import AbstractTask
from ._sequence import (
    AbstractSequenceLearner,
    bounded,
    check_decay,
    check_hidden,
    draw_readout,
    inputs_of,
)
from .hebbian import Readout

_EPSILON = 1e-5


class LayerNorm(eqx.Module):
    """gain * (a - mean a) / sqrt(var a + 1e-5) + shift, over the units.

    Ba, Kiros & Hinton (2016), "Layer normalization".
    """

    gain: Float[Array, " units"]
    shift: Float[Array, " units"]

    def __call__(self, received: Float[Array, " units"]) -> Float[Array, " units"]:
        centred = received - received.mean()
        scale = jax.lax.rsqrt(jnp.square(centred).mean() + _EPSILON)
        return self.gain * (centred * scale) + self.shift


class FastLife(eqx.Module):
    """Fast state of a network with fast weights; both zero at birth."""

    activity: Float[Array, " units"]
    fast: Float[Array, "units units"]
    """`A`, symmetric."""


class FastWeightLearner(AbstractSequenceLearner):
    """Slow weights set a boundary condition, under which fast weights let the activity settle.

        r = [x_t, h_{t-1}] W + b                                       the boundary condition
        z_0 = f(LN(r)),   z_{s+1} = f(LN(r + A_{t-1} z_s)),   h_t = z_S
        A_t = decay A_{t-1} + eta h_t h_t^T,     output_t = h_t V + c

    LN is layer normalisation, one gain and shift a unit for all steps, or nothing. Meta-parameters:
    `W`, `b`, `V`, `c`, gain and shift. A life is `h` and `A`.

    Ba, Hinton, Mnih, Leibo & Ionescu (2016), "Using fast weights to attend to the recent past",
    equations 1 and 2, which use the rectifier; tanh, as here, in the comparison of Garcia
    Rodriguez, Guo & Moraitis (2022). `A_t z = eta sum_s decay^(t-s) h_s (h_s . z)`: attention to
    what was active before.
    """

    weight: Float[Array, "entering units"]
    bias: Float[Array, " units"]
    norm: LayerNorm | None
    readout: Readout
    told: int = eqx.field(static=True)
    inner: int = eqx.field(static=True)
    """S."""
    decay: float = eqx.field(static=True)
    eta: float = eqx.field(static=True)
    activation: ActivationName = eqx.field(static=True)

    def start(self) -> FastLife:
        zero = jnp.zeros_like(self.bias)
        return FastLife(zero, jnp.zeros((zero.shape[0], zero.shape[0]), zero.dtype))

    def advance(
        self, life: FastLife, entering: Float[Array, " inputs"]
    ) -> tuple[FastLife, Float[Array, " units"]]:
        activity = self._settled(life, entering)[-1]
        product = jnp.einsum("i,j->ij", self.eta * activity, activity)
        return FastLife(activity, self.decay * life.fast + product), activity

    def energy(self, life: FastLife, entering: Float[Array, " inputs"]) -> Float[Array, " units"]:
        """Of the slow weights once, and of the fast ones at each step."""
        drive = jnp.square(jnp.concatenate([entering, life.activity]))
        settled = jnp.square(jnp.stack(self._settled(life, entering)[:-1]))
        return drive @ jnp.abs(self.weight) + settled.sum(0) @ jnp.abs(life.fast)

    def _settled(self, life: FastLife, entering: Float[Array, " inputs"]) -> list[jax.Array]:
        """z_0, ..., z_S."""
        boundary = jnp.concatenate([entering, life.activity]) @ self.weight + self.bias
        settled = [self._activity(boundary)]
        for _ in range(self.inner):
            settled.append(self._activity(boundary + settled[-1] @ life.fast))
        return settled

    def _activity(self, received: Float[Array, " units"]) -> Float[Array, " units"]:
        received = received if self.norm is None else self.norm(received)
        return ACTIVATIONS[self.activation].value(received)


def fast_weights(
    task: AbstractTask,
    *,
    hidden: int = 20,
    inner: int = 1,
    decay: float = 0.9,
    eta: float = 0.5,
    layer_norm: bool = True,
    activation: ActivationName = "tanh",
    key: Key,
) -> FastWeightLearner:
    """A recurrent network with fast weights for a task; W, b ~ U(+-1/sqrt(hidden)).

    Args:
        task: What it is to learn.
        hidden: Units.
        inner: Steps in which the fast weights act within a moment.
        decay: What is kept of the fast weights from moment to moment.
        eta: Rate at which activity is written into the fast weights.
        layer_norm: Normalise what the units receive, with a learned gain and shift.
        activation: Activation of the units.
        key: Draws the initial weights.
    """
    check_hidden(hidden)
    check_decay(decay)
    if inner < 1:
        raise UsageError(f"--learner.inner {inner}: fast weights need at least one step to act")
    inputs, told = inputs_of(task)
    weight_key, bias_key, readout_key = jr.split(key, 3)
    bias = bounded((hidden,), hidden, key=bias_key)
    return FastWeightLearner(
        weight=bounded((inputs + hidden, hidden), hidden, key=weight_key),
        bias=bias,
        norm=LayerNorm(jnp.ones_like(bias), jnp.zeros_like(bias)) if layer_norm else None,
        readout=draw_readout(hidden, task.outputs, key=readout_key),
        told=told,
        inner=inner,
        decay=decay,
        eta=eta,
        activation=activation,
    )
