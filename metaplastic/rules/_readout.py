"""A linear softmax that reads several hidden layers, for rules whose layers learn by themselves.

Hinton (2022), "The Forward-Forward algorithm", section 3.2: its weights are learned together, at a
rate of their own. The output layer of the network reads the last hidden layer; the others have
matrices beside it.
"""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..models import AbstractLayer, AbstractNetwork, plastic_layers, weights, with_layers


class ReadOut(eqx.Module):
    """What the read-out carries beside the output layer."""

    matrices: tuple[jax.Array | None, ...]
    """R_l [units, classes], one a hidden layer; None for layers that are not read, and for the
    last, which the output layer reads."""
    velocity: Any
    """Steps of the matrices and of the output layer's weights, momentum included."""


def new_readout(hidden: Sequence[tuple[int, ...]], output: AbstractLayer) -> ReadOut:
    """A read-out at rest of hidden layers with units of these shapes: the first is not read."""
    classes, dtype = output.weight.shape[-1], output.weight.dtype
    read = range(1, len(hidden) - 1)
    matrices = tuple(
        jnp.zeros((math.prod(shape), classes), dtype) if index in read else None
        for index, shape in enumerate(hidden)
    )
    return ReadOut(matrices, jax.tree.map(jnp.zeros_like, (matrices, weights(output))))


def add_scores(score: jax.Array, readout: ReadOut, pres: Sequence[jax.Array]) -> jax.Array:
    """The output layer's `score` [batch, classes] and what the matrices add to it, from `pres`
    [batch, units], one a hidden layer."""
    for pre, matrix in zip(pres, readout.matrices, strict=True):
        if matrix is not None:
            score = score + pre @ matrix
    return score


def learn_readout(
    readout: ReadOut,
    output: AbstractLayer,
    pres: Sequence[jax.Array],
    error: jax.Array,
    update: Any,
    *,
    rate: jax.Array,
    momentum: float,
    decay: float,
) -> ReadOut:
    """One step of gradient descent on all weights of the read-out, the output layer's to come.

    v <- momentum v + rate (dR + decay R),  R <- R - v

    `pres` [batch, units] are what the matrices read, `error` [batch, classes], `update` that of
    the output layer. `apply_to_output` makes the output layer's step.
    """
    slopes = tuple(
        None if matrix is None else pre.T @ error / error.shape[0]
        for matrix, pre in zip(readout.matrices, pres, strict=True)
    )
    velocity = jax.tree.map(
        lambda v, slope, own: momentum * v + rate * (slope + decay * own),
        readout.velocity,
        (slopes, update),
        (readout.matrices, weights(output)),
    )
    moved = jax.tree.map(lambda own, v: own - v, readout.matrices, velocity[0])
    return ReadOut(moved, velocity)


def apply_to_output(
    before: AbstractNetwork, after: AbstractNetwork, readout: ReadOut
) -> AbstractNetwork:
    """`after` with the read-out's own step of the output layer in place of the optimiser's."""
    *hidden, _ = plastic_layers(after)
    output = plastic_layers(before)[-1]
    step = jax.tree.map(jnp.negative, readout.velocity[1])
    return with_layers(after, [*hidden, eqx.apply_updates(output, step)])
