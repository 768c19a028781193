"""How a task scores an answer: what meta-learning minimises, and what is reported."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._errors import UsageError
from ..losses import LossName

PerExample = Callable[[jax.Array, jax.Array], jax.Array]
"""`(output [..., outputs], target [..., outputs]) -> [...]`."""


class Criterion(NamedTuple):
    """Loss and metric of one answer."""

    loss: PerExample
    """What a meta-gradient descends."""
    metric: str
    """Name of what is reported."""
    score: PerExample
    """The metric of each answer."""
    higher_is_better: bool
    rule_loss: LossName
    """The loss by which a rule that learns within the lifetime takes the output's error."""
    rule_factor: Callable[[int], float] = lambda outputs: 1.0
    """The criterion's loss in terms of that one, for so many outputs."""
    partial: bool = False
    """Targets are NaN where nothing is known, and loss and score leave those out. Only learners
    whose teaching signal comes from `loss` can learn from such targets: rules and learners that
    are told y itself refuse them (`whole`)."""

    def whole(self, who: str) -> "Criterion":
        """Itself; raises `UsageError`, naming `who` is told y, where targets are partial."""
        if self.partial:
            raise UsageError(
                f"{who} is told the targets themselves, of which this task knows only a part: use "
                "a learner that settles by the gradient of the task's loss, such as "
                "complex_synapse with --rule backprop"
            )
        return self


def _cross_entropy(output: jax.Array, target: jax.Array) -> jax.Array:
    return -(target * jax.nn.log_softmax(output)).sum(-1)


def _correct(output: jax.Array, target: jax.Array) -> jax.Array:
    return (output.argmax(-1) == target.argmax(-1)).astype(output.dtype)


def _squared_error(output: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.square(output - target).sum(-1)


def _mean_squared_error(output: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.square(output - target).mean(-1)


def _known_squared_error(output: jax.Array, target: jax.Array) -> jax.Array:
    known = ~jnp.isnan(target)
    # NaN must go before the subtraction: behind a `where` it would still reach the derivative.
    wanted = jnp.where(known, target, 0)
    return jnp.square(jnp.where(known, output - wanted, 0)).sum(-1)


def _wrong_signs(output: jax.Array, target: jax.Array) -> jax.Array:
    return (jnp.sign(output) != jnp.sign(target)).mean(-1, dtype=output.dtype)


CLASSIFICATION = Criterion(_cross_entropy, "accuracy", _correct, True, "cross_entropy")
"""Cross-entropy of the softmax, `-sum_k y_k log p_k`; reported: the part that is right."""
REGRESSION = Criterion(
    _mean_squared_error,
    "mean squared error",
    _mean_squared_error,
    False,
    "squared_error",
    rule_factor=lambda outputs: 2.0 / outputs,
)
"""Mean of `(output - y)^2` over the outputs, as loss and as metric."""
PATTERNS = Criterion(
    _squared_error,
    "bit error",
    _wrong_signs,
    False,
    "squared_error",
    rule_factor=lambda outputs: 2.0,
)
"""Sum of `(output - y)^2` over the bits of a pattern; reported: the part of wrong signs."""
PARTIAL_REGRESSION = Criterion(
    _known_squared_error,
    "squared error",
    _known_squared_error,
    False,
    "squared_error",
    lambda outputs: 2.0,
    partial=True,
)
"""Sum of `(output - y)^2` over the outputs whose y is known, not NaN, as loss and as metric."""
