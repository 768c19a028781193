"""A short training run of the rule, for the checks that need one."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ..models import absorb_statistics
from ..rules.base import AbstractRule

STEPS = 40
EXAMPLES = 30
RATES = (0.01, 0.1, 0.5)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` without the optimisations that take longer than they save here."""
    if jax.default_backend() != "cpu":
        return jax.jit(function)
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(function, compiler_options=options)


def train(rule: AbstractRule, problem: Any, rate: jax.Array, *, key: Key) -> jax.Array:
    """Losses [steps] of plain descent at a constant rate on one batch, as the trainer makes it."""
    arrays, static = eqx.partition(problem.model, eqx.is_array)

    def step(carry: Any, key: Key) -> tuple[Any, jax.Array]:
        before, state = eqx.combine(carry[0], static), carry[1]
        updates, state, aux = rule.updates(
            before, state, problem.x, problem.y, key=key, learning_rate=jnp.abs(rate)
        )
        after = eqx.apply_updates(before, jax.tree.map(lambda g: -rate * g, updates))
        after = absorb_statistics(after, aux.statistics)
        after, state = rule.after_step(before, after, state)
        return (eqx.filter(after, eqx.is_array), state), aux.loss

    return jax.lax.scan(step, (arrays, problem.state), jr.split(key, STEPS))[1]


def losses(rule: AbstractRule, problem: Any) -> jax.Array:
    """[2, rates, steps]: of training, and of training with the updates' sign turned."""
    rates = jnp.asarray([RATES, [-rate for rate in RATES]])
    one = jax.vmap(jax.vmap(lambda rate: train(rule, problem, rate, key=problem.key)))
    return compiled(one)(rates)
