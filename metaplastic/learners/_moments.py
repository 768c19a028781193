"""The moments of a lifetime: what each of them brings, and what a learner does at it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..tasks.base import Stream


class Moment(eqx.Module):
    """What one moment brings; with a leading axis, all moments of a lifetime."""

    x: jax.Array
    y: jax.Array | None
    happens: jax.Array | None
    """Does it happen at all? None: yes."""
    index: jax.Array


def stepper(learner: Any, *, key: Key) -> Callable[[Any, Moment], tuple[Any, jax.Array]]:
    """What a scan over `moments` does at each of them; `key` is that of all steps."""

    def step(life: Any, moment: Moment) -> tuple[Any, jax.Array]:
        own = jr.fold_in(key, moment.index)
        after, output = learner.step(life, moment.x, moment.y, key=own)
        if moment.happens is not None:
            after = jax.tree.map(partial(jnp.where, moment.happens), after, life)
        return after, output

    return step


def moments(learner: Any, stream: Stream) -> Moment:
    """The stream as the learner perceives it, to scan over.

    Raises `UsageError` for a stream without moments.
    """
    count = stream.x.shape[0]
    if count == 0:
        raise UsageError("this episode has a stream of no moments: a lifetime needs at least one")
    return Moment(perceive_stream(learner, stream.x), stream.y, stream.mask, jnp.arange(count))


def perceive_stream(learner: Any, x: jax.Array) -> jax.Array:
    """`learner.perceive` of all moments at once, [time, batch, ...]."""
    flat = learner.perceive(x.reshape(-1, *x.shape[2:]))
    return flat.reshape(*x.shape[:2], *flat.shape[1:])
