"""What the estimators of bilevel problems share: the free phase, and the size of a tree."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ..learners.bilevel import AbstractBilevelLearner, Fast
from ..learners.solver import Batch


def settled(learner: AbstractBilevelLearner, support: Batch, *, key: Key) -> tuple[Fast, Key]:
    """`(phi_0, key of the phases that follow)`: the free phase, as `lifetime` lives it."""
    birth_key, step_key = jr.split(key)
    moment_key = jr.fold_in(step_key, 0)
    free = learner.settle(learner.start(key=birth_key), support, key=moment_key)
    return jax.lax.stop_gradient(free), jr.fold_in(step_key, 1)


def norm(tree: Any) -> jax.Array:
    """Euclidean norm of all arrays of a tree together."""
    squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(jnp.stack(squares).sum())
