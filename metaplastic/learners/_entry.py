"""What enters a network that is told its y through its input: x, and y behind it."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from ..tasks.base import AbstractTask


def width(task: AbstractTask) -> int:
    """Number of values of an input."""
    return math.prod(task.input_shape)


def told_width(task: AbstractTask) -> int:
    """Width of the y that the task tells the learner; 0 where it tells none.

    Raises `UsageError` for a task whose y is known in part alone.
    """
    y = eqx.filter_eval_shape(task.sample, jr.key(0)).stream.y
    if y is None:
        return 0
    task.criterion.whole("a network whose input holds y")
    return y.shape[-1]


def answered_by_units(task: AbstractTask, told: int) -> bool:
    """Whether the answer can be the activity of the units that the inputs have: a pattern is
    completed, neither classes nor a y that is told are asked for."""
    classes = task.criterion.rule_loss == "cross_entropy"
    return not (told or classes or task.outputs > width(task))


def beside(x: jax.Array, y: jax.Array | None, told: int) -> Float[Array, "batch inputs"]:
    """x in one row, and behind it y, or zeros where an answer is asked for."""
    x = x.reshape(x.shape[0], -1)
    if not told:
        return x
    y = jnp.zeros((x.shape[0], told), x.dtype) if y is None else y.astype(x.dtype)
    return jnp.concatenate([x, y], axis=1)
