"""Batch normalisation whose mode is an explicit choice.

`batch`: statistics of the present batch, in training and in evaluation (a prediction then depends
on its batch: "transductive"). `running`: statistics of the batch in training, an exponential
average of them in evaluation. No normalisation at all is `norm=None` of a layer.
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from ._batch_norm import batch_norm, batch_norm_back

NormMode = Literal["none", "batch", "running"]
"""No normalisation, statistics of the batch always, or running averages in evaluation."""


class RunningStatistics(eqx.Module):
    """Exponential averages that evaluation uses; not weights: no rule changes them."""

    mean: jax.Array
    """[channels]"""
    variance: jax.Array
    """[channels]; unbiased."""


class NormTrace(eqx.Module):
    """What a normalisation did in one training pass."""

    pre: jax.Array
    """Its input, [batch, ..., channels]."""
    mean: jax.Array
    """[channels]"""
    variance: jax.Array
    """[channels]; biased, the one that divides."""


class BatchNorm(eqx.Module):
    """y = scale (x - mean) / sqrt(variance + epsilon) + offset, per channel.

    Mean and variance run over all axes but the last. Ioffe & Szegedy (2015), Algorithm 1.
    """

    scale: jax.Array
    """[channels]"""
    offset: jax.Array
    """[channels]"""
    running: RunningStatistics | None
    epsilon: float = eqx.field(static=True)
    momentum: float = eqx.field(static=True)

    def __init__(
        self, channels: int, mode: NormMode, *, epsilon: float = 1e-5, momentum: float = 0.1
    ):
        self.scale = jnp.ones(channels)
        self.offset = jnp.zeros(channels)
        self.running = (
            RunningStatistics(jnp.zeros(channels), jnp.ones(channels))
            if mode == "running"
            else None
        )
        self.epsilon = epsilon
        self.momentum = momentum

    def __call__(self, x: jax.Array, *, training: bool) -> tuple[jax.Array, NormTrace | None]:
        """`(y, trace)`; the trace is None where running statistics were used."""
        if self.running is not None and not training:
            inverse = self.scale / jnp.sqrt(self.running.variance + self.epsilon)
            return (x - self.running.mean) * inverse + self.offset, None
        y, mean, variance = batch_norm(x, self.scale, self.offset, self.epsilon)
        return y, NormTrace(x, mean, variance)

    def learn(self, trace: NormTrace, delta: jax.Array) -> tuple["BatchNorm", jax.Array]:
        """`(updates, signal at the input)` for a signal at the output; batch mean."""
        batch = delta.shape[0]
        signal, scale, offset = batch_norm_back(
            trace.pre, trace.mean, trace.variance, self.scale, delta, self.epsilon
        )
        update = eqx.tree_at(
            lambda norm: (norm.scale, norm.offset),
            eqx.filter(self, lambda _: False),
            (scale / batch, offset / batch),
            is_leaf=lambda leaf: leaf is None,
        )
        return update, signal

    def absorb(self, trace: NormTrace) -> "BatchNorm":
        """The normalisation with its running statistics moved towards those of a pass."""
        if self.running is None:
            return self
        count = trace.pre.size // trace.pre.shape[-1]
        unbiased = trace.variance * (count / max(count - 1, 1))
        running = jax.tree.map(
            lambda old, new: (1 - self.momentum) * old + self.momentum * new,
            self.running,
            RunningStatistics(trace.mean, unbiased),
        )
        return eqx.tree_at(lambda norm: norm.running, self, running)


def absorb_statistics(model: Any, statistics: list[NormTrace | None]) -> Any:
    """`model` with the running statistics of its normalisations moved towards those of a pass.

    `statistics` holds one entry a plastic layer, in forward order (`Aux.statistics`).
    """
    from .base import plastic_layers, with_layers

    layers = plastic_layers(model)
    if all(layer.norm is None or layer.norm.running is None for layer in layers):
        return model
    return with_layers(
        model,
        [
            layer
            if layer.norm is None or trace is None
            else eqx.tree_at(lambda layer: layer.norm, layer, layer.norm.absorb(trace))
            for layer, trace in zip(layers, statistics, strict=True)
        ],
    )
