"""How much a training step computes, and what follows from it: loops or batches, and chunks."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from ..models import plastic_layers
from .batches import multiplications

_BATCHED_BELOW = 4e6
"""Multiplications of a batch up to which a batched program beats a loop over replicas on a CPU."""
_CHUNK_MULTIPLICATIONS = 4e11
"""Multiplications after which a chunk ends, so that the host hears of long epochs."""


def step_multiplications(model: Any, input_shape: tuple[int, ...], batch_size: int) -> float:
    """Multiplications of a forward pass of a batch through `model`, whose arrays may be shapes."""
    probe = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    trace = eqx.filter_eval_shape(lambda m, x: m.trace(x, key=jr.key(0)), model, probe)
    shapes = [
        (layer.weight.shape, own.post.shape[1:])
        for layer, own in zip(plastic_layers(model), trace.layers, strict=True)
    ]
    return float(multiplications(shapes) * batch_size)


def loops_over_replicas(
    parallel: str, work: float, *, batched_below: float = _BATCHED_BELOW
) -> bool:
    """One replica after the other, rather than all in one batched program?"""
    if parallel == "auto":
        return jax.default_backend() == "cpu" and work > batched_below
    return parallel == "loop"


def steps_of_chunk(steps_per_epoch: int, work: float) -> int:
    """An epoch's steps, or those of an equal part of a long one."""
    pieces = round(3 * work * steps_per_epoch / _CHUNK_MULTIPLICATIONS)
    return -(-steps_per_epoch // max(pieces, 1))
