"""One sine curve per lifetime, whose points a population of neurons spells out in spikes."""

import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key
from .base import AbstractTask, Episode, Query, Stream
from .criteria import REGRESSION, Criterion


class SpikingSinusoid(AbstractTask):
    """y = a sin(x + phi) with a ~ U[lowest, highest], phi ~ U[0, pi), x ~ U[-5, 5].

    An input is the spikes of `channels` neurons for `duration` moments, [duration, channels]. With
    x scaled to u in [0, 1] and preferred values c_i that divide [0, 1] evenly, neuron i spikes at
    every moment with probability exp(-(u - c_i)^2 / (2 width)), independently. A lifetime has one
    set of `shots` points to settle on, and `queries` others are asked for; spikes are drawn once
    for all that is done with a point. Zucchet et al. (2022), "A contrastive rule for
    meta-learning", section 5.4, whose sizes are the defaults.
    """

    criterion: ClassVar[Criterion] = REGRESSION

    shots: int = eqx.field(static=True, default=10)
    """Points to learn from."""
    queries: int = eqx.field(static=True, default=10)
    """Points asked for at the end."""
    channels: int = eqx.field(static=True, default=100)
    """Neurons that encode a point."""
    duration: int = eqx.field(static=True, default=20)
    """Moments for which they spike."""
    width: float = eqx.field(static=True, default=2e-4)
    """Variance of a tuning curve, in the square of the scaled x."""
    lowest: float = eqx.field(static=True, default=0.1)
    """Smallest amplitude."""
    highest: float = eqx.field(static=True, default=5.0)
    """Largest amplitude."""

    def __check_init__(self):
        for name, least in {"shots": 1, "queries": 1, "channels": 2, "duration": 1}.items():
            if getattr(self, name) < least:
                raise UsageError(f"--task.{name} {getattr(self, name)}: at least {least} is needed")
        if not self.width > 0:
            raise UsageError(f"--task.width {self.width}: a variance must be positive")
        if not self.lowest <= self.highest:
            raise UsageError(
                f"--task.lowest {self.lowest} is above --task.highest {self.highest}: swap them"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.duration, self.channels)

    @property
    def outputs(self) -> int:
        return 1

    def sample(self, key: Key) -> Episode:
        curve_key, point_key, spike_key = jr.split(key, 3)
        amplitude, phase = jr.uniform(curve_key, (2,))
        amplitude = self.lowest + (self.highest - self.lowest) * amplitude
        u = jr.uniform(point_key, (self.shots + self.queries, 1))
        y = amplitude * jnp.sin(10.0 * u - 5.0 + math.pi * phase)
        x = self.spikes(u, key=spike_key)
        stream = Stream(x[None, : self.shots], y[None, : self.shots], None, None)
        return Episode(stream, Query(x[self.shots :], y[self.shots :]), self.criterion)

    def spikes(
        self, u: Float[Array, "points 1"], *, key: Key
    ) -> Float[Array, "points time channels"]:
        """The spikes of points, scaled to [0, 1]."""
        preferred = jnp.linspace(0.0, 1.0, self.channels)
        probability = jnp.exp(-jnp.square(u - preferred) / (2 * self.width))
        shape = (u.shape[0], self.duration, self.channels)
        drawn = jr.uniform(key, shape) < probability[:, None]
        return drawn.astype(u.dtype)
