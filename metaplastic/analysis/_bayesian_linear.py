"""Bayesian linear regression with unknown noise, one observation at a time or all at once.

    y = w . z + noise,  noise ~ N(0, s),  s ~ InvGamma(a, b),  w | s ~ N(mean, s C)

The prior is mean 0, C = I / ridge. Riquelme, Tucker & Snoek (2018), "Deep Bayesian bandits
showdown", section 3; the formulae are those of any text book.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._types import Key, Scalar


class Belief(eqx.Module):
    """What is believed of one output; with a leading axis, of several."""

    mean: jax.Array
    """[features]"""
    covariance: jax.Array
    """C, in units of the noise's variance, [features, features]."""
    shape: jax.Array
    """a"""
    scale: jax.Array
    """b"""


def prior(features: int, *, ridge: float, shape: float, scale: float) -> Belief:
    """The belief before any observation; its arrays are of the default float."""
    return Belief(
        jnp.zeros(features), jnp.eye(features) / ridge, jnp.asarray(shape), jnp.asarray(scale)
    )


def observed(belief: Belief, z: Float[Array, " features"], y: Scalar) -> Belief:
    """The belief after one more observation, by the Sherman-Morrison formula.

    b grows by half the squared error of the prediction over its variance, which unlike the usual
    `y'y - m'(C^-1)m` is no small difference of large numbers.
    """
    direction = belief.covariance @ z
    spread = 1 + z @ direction
    error = y - belief.mean @ z
    return Belief(
        belief.mean + direction * error / spread,
        belief.covariance - jnp.outer(direction, direction) / spread,
        belief.shape + 0.5,
        belief.scale + 0.5 * error**2 / spread,
    )


def fitted(
    before: Belief,
    z: Float[Array, "n features"],
    y: Float[Array, " n"],
    weight: Float[Array, " n"],
    *,
    ridge: float,
) -> Belief:
    """The belief after all observations whose weight is 1, those of weight 0 left out.

    C = (ridge I + Z'Z)^-1,  mean = C Z'y,  a = a_0 + n/2,
    b = b_0 + (|y - Z mean|^2 + ridge |mean|^2) / 2; `before` is the prior, for a_0 and b_0.
    """
    known = z * weight[:, None]
    # By eigenvectors: they keep C positive in float32, and solving triangular systems is slow.
    values, vectors = jnp.linalg.eigh(known.T @ z)
    covariance = (vectors / (ridge + jnp.maximum(values, 0))) @ vectors.T
    mean = covariance @ (known.T @ y)
    misfit = (weight * jnp.square(y - z @ mean)).sum() + ridge * mean @ mean
    return Belief(mean, covariance, before.shape + 0.5 * weight.sum(), before.scale + 0.5 * misfit)


def drawn_value(belief: Belief, z: Float[Array, " features"], *, key: Key) -> Scalar:
    """w . z with w and s drawn from the belief (Thompson sampling).

    Given s it is normal with mean `mean . z` and variance `s z'Cz`: no w need be drawn.
    """
    noise_key, value_key = jr.split(key)
    noise = belief.scale / jr.gamma(noise_key, belief.shape, dtype=z.dtype)
    variance = noise * jnp.maximum(z @ belief.covariance @ z, 0)
    return belief.mean @ z + jnp.sqrt(variance) * jr.normal(value_key, dtype=z.dtype)
