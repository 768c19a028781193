"""How good a meta-gradient is: its error against the exact one, its time and its memory."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.bilevel import AbstractBilevelLearner, require_bilevel
from ..meta.base import AbstractMetaGradient, learned
from ..meta.implicit import Implicit
from ..tasks.base import Episode

_POLISH = 20
"""Newton steps by which the reference brings each phase to its minimum."""
_LARGEST = 3000
"""Weights up to which there is a reference: it solves with the dense Hessian at every step."""
_REPEATS = 3


class GradientReport(NamedTuple):
    """One estimator on one batch of lifetimes."""

    relative_error: float | None
    """|estimate - exact| / |exact|; None without a reference."""
    cosine: float | None
    """Of estimate and exact gradient."""
    norm_ratio: float | None
    """|estimate| / |exact|."""
    milliseconds: float
    """Of one estimate, compiled; median of three."""
    megabytes: float | None
    """Of temporary memory, as the compiler plans it; None where it does not say."""
    quality: dict[str, float]
    """The estimator's own measures, mean over lifetimes."""


def exact_gradient(
    learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
) -> jax.Array:
    """The meta-gradient of a bilevel problem, as one vector.

    Every free phase is brought to its minimum by Newton's method, from where the learner's own
    solver leaves it, and differentiated by the implicit function theorem with a dense solve.

    Raises `UsageError` for a learner that does not settle, one that descends another slope than
    its loss's, one with too many weights, and where Newton's method does not find a stationary
    point.
    """
    own = require_bilevel(learner, who="the exact meta-gradient")
    if not own.slope_is_gradient:
        raise UsageError(
            "the exact meta-gradient is that of a minimum, and where a local rule settles there is "
            "none: use --rule backprop for a reference"
        )
    if not is_small(own):
        raise UsageError(
            f"the exact meta-gradient takes dense Hessians, and this learner has more than "
            f"{_LARGEST} weights that settle: use a smaller network"
        )
    solver = dataclasses.replace(own.solver, newton=_POLISH, batch=None, until=None)
    polished = dataclasses.replace(own, solver=solver)
    if where is not None:  # the same marks, on a tree that differs in its solver
        where = jax.tree.unflatten(jax.tree.structure(polished), jax.tree.leaves(where))
    gradient, aux = eqx.filter_jit(Implicit("exact"))(polished, episodes, key=key, where=where)
    left = float(jnp.max(aux.quality["free_stationarity"]))
    precise = jnp.result_type(float) == jnp.float64
    if not left < (1e-6 if precise else 1e-2):
        raise UsageError(
            f"Newton's method leaves a slope of {left:.2g} of the evaluation loss's: there is no "
            "minimum near the end of the free phase; use more --learner.steps or a larger "
            "--learner.strength"
        )
    return _vector(gradient)


def has_exact_gradient(learner: Any) -> bool:
    """Does the learner settle to minima, and is it small enough for `exact_gradient`?"""
    if not isinstance(learner, AbstractBilevelLearner):
        return False
    return learner.slope_is_gradient and is_small(learner)


def is_small(learner: AbstractBilevelLearner) -> bool:
    """Has it so few weights that settle that dense Hessians, and three estimates, cost little?"""
    fast = jax.eval_shape(lambda own: own.start(key=jax.random.key(0)), learner)
    return sum(leaf.size for leaf in jax.tree.leaves(fast)) <= _LARGEST


def gradient_reports(
    estimators: Mapping[str, AbstractMetaGradient],
    learner: AbstractLearner,
    episodes: Episode,
    *,
    exact: jax.Array | None = None,
    key: Key,
    where: Any = None,
) -> dict[str, GradientReport]:
    """A report of every estimator on the same lifetimes; `exact` is what `exact_gradient` gives."""
    return {
        label: _report(own, learner, episodes, exact, key, where)
        for label, own in estimators.items()
    }


def _report(
    estimator: AbstractMetaGradient,
    learner: AbstractLearner,
    episodes: Episode,
    exact: jax.Array | None,
    key: Key,
    where: Any,
) -> GradientReport:
    arrays, rest = eqx.partition((learner, episodes), eqx.is_array)

    def estimate(arrays: Any) -> Any:
        own, lifetimes = eqx.combine(arrays, rest)
        gradient, aux = estimator(own, lifetimes, key=key, where=where)
        return learned(gradient)[0], aux.quality

    program = jax.jit(estimate).lower(arrays).compile()
    gradient, quality = jax.block_until_ready(program(arrays))
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(program(arrays))
        seconds.append(time.perf_counter() - began)
    vector, error, cosine, ratio = _vector(gradient), None, None, None
    if exact is not None:
        size, own = float(jnp.linalg.norm(exact)), float(jnp.linalg.norm(vector))
        error = float(jnp.linalg.norm(vector - exact)) / size
        cosine = float(vector @ exact) / max(size * own, 1e-300)
        ratio = own / size
    memory = program.memory_analysis()
    return GradientReport(
        relative_error=error,
        cosine=cosine,
        norm_ratio=ratio,
        milliseconds=1000 * float(np.median(seconds)),
        megabytes=None if memory is None else memory.temp_size_in_bytes / 1e6,
        quality={name: float(jnp.mean(own)) for name, own in quality.items()},
    )


def _vector(gradient: Any) -> jax.Array:
    leaves = [leaf.ravel() for leaf in jax.tree.leaves(gradient)]
    return jnp.concatenate(leaves)
