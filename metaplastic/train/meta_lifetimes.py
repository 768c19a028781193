"""The lifetimes of a meta-step, as they are drawn, and those of a test, as they are lived."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from .._devices import even_share, lifetime_keys, lifetime_places, own_part, share_out
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import live
from ..meta.base import MetaAux
from ..tasks.base import AbstractTask, Episode


def draw_episodes(
    task: AbstractTask, number: int, step: jax.Array, *, divided: bool, key: Key
) -> tuple[Episode, Key]:
    """The `number` lifetimes of a meta-step, and the key of what is random within them.

    `divided`: where devices divide the lifetimes, only this one's part.
    """
    sample_key, life_key = jr.split(jr.fold_in(jr.fold_in(key, 0), step))
    if divided:
        keys = lifetime_keys(sample_key, own_part(number))
        places = lifetime_places(own_part(number))
    else:
        keys, places = jr.split(sample_key, number), jnp.arange(number, dtype=jnp.uint32)
    numbers = step.astype(jnp.uint32) * jnp.uint32(number) + places
    return jax.vmap(task.nth)(numbers, keys), life_key


def live_test(
    learner: AbstractLearner, task: AbstractTask, number: int, *, together: int, key: Key
) -> MetaAux:
    """Loss and metric of `number` lifetimes, [number] each, of which `together` are lived at once
    or somewhat fewer."""

    def lived(key: Key) -> Any:
        sample_key, life_key = jr.split(key)
        return live(learner, task.sample(sample_key), key=life_key)

    def all_lived(keys: jax.Array) -> Any:
        return jax.lax.map(lived, keys, batch_size=even_share(len(keys), together))

    verdict = share_out(all_lived, jr.split(jr.fold_in(key, 1), number))
    return MetaAux(verdict.loss, verdict.metric)
