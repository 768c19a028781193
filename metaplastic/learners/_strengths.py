"""Attraction strengths: whom they belong to, how they are stored, and the papers' conventions.

The library's penalty is `1/2 sum_i lambda_i (phi_i - omega_i)^2`, a sum with the factor 1/2.
"""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp

from .._errors import UsageError

Strengths = Literal["fixed", "global", "tensor", "synapse"]
"""One number that is not learned; or a learned one for all synapses, for each array of them, for
each of them."""
LearnedStrengths = Literal["global", "tensor", "synapse"]
Convention = Literal["half", "sum", "mean", "half_mean"]
"""How a penalty is written: `1/2 sum`, `sum`, `mean`, `1/2 mean` of lambda (phi - omega)^2."""

_SMALLEST = 1e-12
"""What a strength of zero is stored as where its logarithm is."""


def to_half_sum(strength: float, convention: Convention, count: int) -> float:
    """A strength as the library means it, lambda of `1/2 sum_i lambda (phi_i - omega_i)^2`.

    `count` is the number of synapses. c sum d^2 is lambda = 2 c; c mean d^2 is lambda = 2 c / n.

    Raises `UsageError` for a negative strength, which would push synapses away without bound, for
    an infinite one, and for an unknown convention.
    """
    if not 0 <= strength < math.inf:
        raise UsageError(
            f"--learner.strength {strength}: it must not be negative (a synapse would be pushed "
            "away from its attractor without bound) or infinite"
        )
    factors = {"half": 1.0, "sum": 2.0, "mean": 2.0 / count, "half_mean": 1.0 / count}
    if convention not in factors:
        raise UsageError(f"--learner.convention {convention}: say " + " or ".join(factors))
    return strength * factors[convention]


def make_strengths(value: float, strengths: Strengths, like: Any, *, log: bool) -> Any:
    """What is stored: a number (`fixed`), or arrays of strengths or of their logarithms."""
    if strengths == "fixed":
        return value
    if strengths not in ("global", "tensor", "synapse"):
        raise UsageError(
            f"--learner.strengths {strengths}: say fixed or global or tensor or synapse"
        )
    stored = max(value, _SMALLEST) if log else value
    leaves = jax.tree.leaves(like)
    if strengths == "global":
        return _stored(jnp.full((), stored, leaves[0].dtype), log)
    shape = jnp.shape if strengths == "synapse" else lambda leaf: ()
    return jax.tree.map(lambda leaf: _stored(jnp.full(shape(leaf), stored, leaf.dtype), log), like)


def strength_tree(stored: Any, like: Any, *, log: bool) -> Any:
    """lambda of every array of `like`: a number or an array that fits it."""
    fixed = isinstance(stored, float | int)
    one = stored if fixed or not log else jax.tree.map(jnp.exp, stored)
    if fixed or jax.tree.structure(one) == jax.tree.structure(0):
        return jax.tree.map(lambda _: one, like)
    return one


def not_negative(stored: Any, *, log: bool) -> Any:
    """Strengths after a meta-step, projected back to zero where they crossed it."""
    if log or isinstance(stored, float | int):
        return stored
    return jax.tree.map(lambda leaf: jnp.maximum(leaf, 0.0), stored)


def penalty(fast: Any, attractor: Any, strength: Any) -> jax.Array:
    """1/2 sum_i lambda_i (phi_i - omega_i)^2; all three of one structure."""
    parts = jax.tree.map(
        lambda phi, omega, own: 0.5 * jnp.sum(own * jnp.square(phi - omega)),
        fast,
        attractor,
        strength,
    )
    return sum(jax.tree.leaves(parts), start=jnp.zeros(()))


def _stored(value: jax.Array, log: bool) -> jax.Array:
    return jnp.log(value) if log else value
