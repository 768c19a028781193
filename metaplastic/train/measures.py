"""What is measured of one replica between chunks: its scores, and where its changes point."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ..losses import LOSSES
from ..models import AbstractNetwork, plastic_layers
from ..rules._feedback import norm
from ..rules.backprop import Backprop
from ..rules.base import AbstractRule
from .batches import Batches, Split

Measured = dict[str, dict[str, jax.Array]]
"""By kind, then by name of a layer or pair of weights."""
_ALIGNMENT_BATCHES = 4
_SCORED_AT_ONCE = 500


def score(
    rule: AbstractRule, model: AbstractNetwork, state: Any, batches: Batches, split: Split
) -> tuple[jax.Array, jax.Array]:
    """`(accuracy, mean loss)` on a split."""
    size = len(split)
    pieces = -(-size // _SCORED_AT_ONCE)
    width = -(-size // pieces)
    # Whole pieces: the last one is filled up with examples that do not count.
    index = jnp.arange(pieces * width).reshape(pieces, width)
    loss = LOSSES[rule.loss]

    def piece(index: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, labels = split.x[index % size], split.y[index % size]
        output = rule.predict(model, state, batches.inputs(x))
        correct = output.argmax(-1) == labels
        losses = loss.per_example(output, batches.targets(labels))
        real = index < size
        return jnp.where(real, correct, False).sum(), jnp.where(real, losses, 0).sum()

    correct, losses = jax.lax.map(piece, index)
    return correct.sum() / size, losses.sum() / size


def alignment(
    rule: AbstractRule,
    model: AbstractNetwork,
    state: Any,
    batches: Batches,
    rate: jax.Array,
    *,
    key: Key,
) -> dict[str, list[jax.Array | None]]:
    """Angles in degrees to what backpropagation asks of the same four batches, layer by layer.

    `update_angle`: of the weights' updates, mean over batches; `delta_angle`: of the deltas, mean
    over examples, None for layers that have none. Both from one run of the rule a batch.
    """
    from ..analysis.alignment import weight_angles
    from ..analysis.delta_angles import example_delta_angles, taught

    loss: Any = rule.loss

    def of_batch(index: jax.Array) -> tuple[jax.Array, list[jax.Array | None]]:
        batch_key = jr.fold_in(key, index)
        order = jr.choice(batch_key, len(batches.train), (batches.batch_size,))
        x, y = batches.batch(order, key=batch_key)
        own, right = (
            taught(teacher, model, carried, x, y, key=batch_key, learning_rate=rate)
            for teacher, carried in ((rule, state), (Backprop(loss=loss), ()))
        )
        return weight_angles(own.updates, right.updates), example_delta_angles(own, right)

    weights, deltas = jax.lax.map(of_batch, jnp.arange(_ALIGNMENT_BATCHES))
    means = [None if own is None else jnp.nanmean(own) for own in deltas]
    return {"update_angle": list(weights.mean(0)), "delta_angle": means}


def weight_measures(rule: AbstractRule, model: AbstractNetwork, state: Any) -> Measured:
    """`weight_angle`: between forward and feedback weights; `weight_size`: |W_l| of every plastic
    layer, and what the rule gives of its feedback weights."""
    own = {
        f"|W{index}|": norm(layer.weight) for index, layer in enumerate(plastic_layers(model), 1)
    }
    return {
        "weight_angle": rule.angles(model, state),
        "weight_size": own | rule.sizes(model, state),
    }
