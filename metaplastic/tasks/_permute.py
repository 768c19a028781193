"""Inputs whose values stand in another order."""

import dataclasses
import math

import jax
import jax.random as jr

from .._types import Key
from .base import Episode


def permuted(episode: Episode, *, key: Key) -> Episode:
    """The episode with the values of all its inputs, [*input], in one random order.

    What a network learns does not depend on it, unless it knows which inputs lie side by side.
    """
    shape = episode.stream.x.shape[2:]
    order = jr.permutation(key, math.prod(shape))

    def own(x: jax.Array) -> jax.Array:
        leading = x.shape[: x.ndim - len(shape)]
        return x.reshape(*leading, -1)[..., order].reshape(x.shape)

    query = episode.query
    if query is not None:
        query = dataclasses.replace(query, x=own(query.x))
    stream = dataclasses.replace(episode.stream, x=own(episode.stream.x))
    return dataclasses.replace(episode, stream=stream, query=query)
