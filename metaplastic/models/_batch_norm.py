"""Batch normalisation and its derivative over all axes but the last."""

import jax
import jax.numpy as jnp


def batch_norm(
    x: jax.Array, scale: jax.Array, offset: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`(y, mean, biased variance)`; mean and variance [channels]."""
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    variance = ((x - mean) ** 2).mean(axes)
    return (x - mean) * (scale / jnp.sqrt(variance + epsilon)) + offset, mean, variance


def batch_norm_back(
    x: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    scale: jax.Array,
    signal: jax.Array,
    epsilon: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`(signal at x, scale gradient, offset gradient)`, gradients summed over the batch."""
    axes = tuple(range(x.ndim - 1))
    inverse = 1 / jnp.sqrt(variance + epsilon)
    normalised = (x - mean) * inverse
    offset_gradient = signal.sum(axes)
    scale_gradient = (signal * normalised).sum(axes)
    count = x.size // x.shape[-1]
    centred = signal - offset_gradient / count - normalised * (scale_gradient / count)
    return centred * (scale * inverse), scale_gradient, offset_gradient
