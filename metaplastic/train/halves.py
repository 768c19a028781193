"""Runs a batched program on two halves of its replicas at the same time.

Small networks leave all cores but one idle: their matrix products are too small to be divided. Two
host threads, each with half of the replicas, use two. The division does not depend on the machine,
so that the numbers do not either.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp

_FEWEST = 4
"""Replicas from which on two halves pay."""


def in_halves(function: Callable[[Any], Any], state: Any, count: int) -> Any:
    """`function(state)` for a state of `count` replicas (the leading axis of every leaf)."""
    if count < _FEWEST or count % 2:
        return function(state)
    with ThreadPoolExecutor(2) as threads:
        running = [
            threads.submit(lambda half: jax.block_until_ready(function(half)), half)
            for half in _split(state)
        ]
        return _join(*(half.result() for half in running))


@jax.jit
def _split(state: Any) -> tuple[Any, Any]:
    middle = jax.tree.leaves(state)[0].shape[0] // 2
    return (
        jax.tree.map(lambda leaf: leaf[:middle], state),
        jax.tree.map(lambda leaf: leaf[middle:], state),
    )


@jax.jit
def _join(first: Any, second: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)
