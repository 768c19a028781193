"""How wrong the contrastive meta-gradient is at every strength of nudging and solver accuracy.

The problem is `bilevel_quadratic`, where the minimum of every phase and the meta-gradient are known
in closed form, so that the error of an estimate and that of the phases are exact. All in float64.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._compiling import compiled_once
from .._errors import UsageError
from .._types import Key
from ..learners.bilevel import support_and_query
from ..learners.complex_synapse import ComplexSynapse, complex_synapse
from ..learners.solver import Solver
from ..meta.base import AbstractMetaGradient
from ..meta.contrastive import Contrast, Contrastive
from ..meta.implicit import Implicit, Method
from ..rules.backprop import Backprop
from ..tasks.base import Episode
from ..tasks.bilevel_quadratic import BilevelQuadratic, closed_form

BETAS = tuple(10.0 ** (exponent / 4) for exponent in range(-20, 5))
"""From 1e-5 to 10, four a decade."""
STEPS = (10, 20, 40, 80)
"""Steps of gradient descent of every phase, by which solvers differ in accuracy."""


class BetaStudy(NamedTuple):
    """Errors of one contrast; leading axis: problems."""

    beta: np.ndarray
    """[betas]"""
    steps: tuple[int, ...]
    """Of every phase; 0: phases end exactly at their minimum."""
    error: np.ndarray
    """|estimate - exact| / |exact|, [problems, steps, betas]; infinite where a phase has no
    minimum and runs away."""
    distance: np.ndarray
    """|phi - phi*| at the end of the free phase, [problems, steps]."""
    bound: np.ndarray
    """`error_bound` relative to |exact|, [problems, steps, betas]; of `one_sided`."""

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """`(smallest error, beta at which it is)`, [problems, steps] each."""
        return self.error.min(-1), self.beta[self.error.argmin(-1)]


class Problem(NamedTuple):
    """One quadratic, with random strengths, and what is known of it."""

    learner: ComplexSynapse
    """Its rate is 1 / (the sum of the largest curvatures of L_learn and L_eval)."""
    episode: Episode
    exact: jax.Array
    """The meta-gradient of (omega, lambda), [2 dimension]."""
    minimum: jax.Array
    """phi*, [dimension]"""
    curvature: jax.Array
    """H = A + Lambda, [dimension, dimension]"""
    nudge: jax.Array
    """B, [dimension, dimension]"""
    slope: jax.Array
    """g = dL_eval/dphi at phi*, [dimension]"""
    slopes: jax.Array
    """Largest |d(dL_learn/dtheta)/dphi| at phi*: `B_learn` of the bound."""
    least: jax.Array
    """Smallest curvatures mu and nu of L_learn and L_eval, [2]"""
    largest: jax.Array
    """Largest ones, [2]"""


def problem(task: BilevelQuadratic, *, key: Key) -> Problem:
    """A quadratic of the task; strengths lambda = exp(0.3 N(0, 1)), omega as drawn."""
    episode_key, learner_key, strength_key = jr.split(key, 3)
    learner = complex_synapse(
        task,
        rule=Backprop(),
        hidden=(),
        bias=False,
        strengths="synapse",
        log=False,
        key=learner_key,
    )
    drawn = jnp.exp(0.3 * jr.normal(strength_key, (task.dimension, 1)))
    learner = eqx.tree_at(lambda own: jax.tree.leaves(own.strength), learner, [drawn])
    episode, omega, strength = task.sample(episode_key), _vector(learner.consolidated), drawn[:, 0]
    known = closed_form(episode, omega, strength)
    assert episode.query is not None
    half = 2 / task.dimension
    x, asked = episode.stream.x[0], episode.query.x
    curvature, nudge = half * x.T @ x + jnp.diag(strength), half * asked.T @ asked
    slope = half * asked.T @ (asked @ known.minimum - episode.query.y[:, 0])
    spectra = jnp.linalg.eigvalsh(jnp.stack([curvature, nudge]))
    return Problem(
        learner=dataclasses.replace(learner, rate=1 / spectra[:, -1].sum()),
        episode=episode,
        exact=jnp.concatenate([known.consolidated, known.strength]),
        minimum=known.minimum,
        curvature=curvature,
        nudge=nudge,
        slope=slope,
        slopes=jnp.sqrt(strength**2 + (known.minimum - omega) ** 2).max(),
        least=spectra[:, 0],
        largest=spectra[:, -1],
    )


def error_bound(own: Problem, beta: jax.Array, free: jax.Array, nudged: jax.Array) -> jax.Array:
    """The U: solver errors over beta, and a bias that grows with beta and saturates.

        |estimate - exact| <= [S (d + d') + (d^2 + d'^2) / 2] / beta + d' m
                              + S beta |B| m / mu + beta m^2 / 2
        m = |g| / (mu + beta nu),  mu and nu the smallest curvatures of L_learn and L_eval

    for one-sided estimates on a quadratic whose phases end d = `free` and d' = `nudged` from their
    minima; S = `Problem.slopes`. Theorem 2 of Zucchet et al. (2022), "A contrastive rule for
    meta-learning", has this form for all smooth, strongly convex losses; its constants are here
    those of the quadratic, with the second-order terms that d/dlambda brings.
    """
    moved = jnp.linalg.norm(own.slope) / (own.least[0] + beta * own.least[1])
    solver = (own.slopes * (free + nudged) + (free**2 + nudged**2) / 2) / beta + nudged * moved
    return solver + beta * moved * (own.slopes * own.largest[1] / own.least[0] + moved / 2)


def beta_study(
    contrast: Contrast = "one_sided",
    *,
    task: BilevelQuadratic | None = None,
    betas: Sequence[float] = BETAS,
    steps: Sequence[int] = STEPS,
    seeds: Sequence[int] = (0,),
) -> BetaStudy:
    """Error of a contrast at every beta, for phases of so many steps of gradient descent.

    One quadratic a seed. A nudged phase has as many steps as the free one, at a rate at which it
    descends; 0 steps: one of Newton's, which ends at the minimum.

    Raises `UsageError` for a beta that is not positive.
    """
    if not min(betas) > 0:
        raise UsageError(f"beta {min(betas)}: give positive ones, from 1e-5 to 10 say")
    with jax.enable_x64(True):
        problems = _problems(task or BilevelQuadratic(), tuple(seeds))
        found = [
            compiled_once(_study)(problems, contrast, int(own), jnp.asarray(betas)) for own in steps
        ]
        error, distance, bound = (
            np.stack([np.asarray(one[i], np.float64) for one in found], 1) for i in range(3)
        )
    error = np.where(np.isfinite(error), error, np.inf)
    return BetaStudy(np.asarray(betas), tuple(steps), error, distance, bound)


def reference_errors(
    method: Method,
    *,
    task: BilevelQuadratic | None = None,
    steps: Sequence[int] = STEPS,
    seeds: Sequence[int] = (0,),
) -> np.ndarray:
    """Relative error of implicit differentiation on the same problems, [problems, steps].

    As many conjugate gradients, or terms of the Neumann series, as the free phase has steps.
    """

    with jax.enable_x64(True):
        problems = _problems(task or BilevelQuadratic(), tuple(seeds))
        found = [compiled_once(_reference)(problems, method, int(own)) for own in steps]
        return np.stack([np.asarray(own, np.float64) for own in found], 1)


@functools.lru_cache(maxsize=4)
def _problems(task: BilevelQuadratic, seeds: tuple[int, ...]) -> Problem:
    """One a seed, stacked."""
    keys = jnp.stack([jr.key(seed) for seed in seeds])
    return compiled_once(jax.vmap(lambda key: problem(task, key=key)))(keys)


def _reference(problems: Problem, method: Method, steps: int) -> jax.Array:
    def one(own: Problem) -> jax.Array:
        learner = _settling(own.learner, steps)
        estimator = Implicit(method, steps=max(steps, 1))
        object.__setattr__(estimator, "scale", own.learner.rate)  # of this copy; may be traced
        return _error(estimator, learner, own)

    return jax.vmap(one)(problems)


def _study(
    problems: Problem, contrast: Contrast, steps: int, betas: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`(errors, distances of the free phase, bounds)` of every problem."""
    key = jr.key(0)  # nothing is drawn in these phases

    def one(own: Problem) -> tuple[jax.Array, jax.Array, jax.Array]:
        learner = _settling(own.learner, steps)
        support, query = support_and_query(learner, own.episode, who="beta_study")
        free = learner.settle(learner.start(key=key), support, key=key)
        left = jnp.linalg.norm(_vector(free) - own.minimum)

        def at(beta: jax.Array) -> tuple[jax.Array, jax.Array]:
            estimator = _nudged_by(beta, contrast, own, steps)
            error = _error(estimator, learner, own)
            phi = learner.settle(free, support, query, beta, rate=estimator.rate, key=key)
            moved = jnp.linalg.solve(own.curvature + beta * own.nudge, beta * own.slope)
            away = jnp.linalg.norm(_vector(phi) - (own.minimum - moved))
            bound = error_bound(own, beta, left, away)
            return error, bound / jnp.linalg.norm(own.exact)

        error, bound = jax.vmap(at)(betas)
        return error, left, bound

    return jax.vmap(one)(problems)


def _nudged_by(beta: jax.Array, contrast: Contrast, own: Problem, steps: int) -> Contrastive:
    """The estimator, at a beta and a rate that may be traced: one program for many of them."""
    estimator = Contrastive(contrast=contrast, steps=steps, measure=False)
    object.__setattr__(estimator, "beta", beta)
    rate = 1 / (own.largest[0] + 2 * beta * own.largest[1])
    object.__setattr__(estimator, "rate", jnp.minimum(rate, own.learner.rate))
    return estimator


def _error(estimator: AbstractMetaGradient, learner: ComplexSynapse, own: Problem) -> jax.Array:
    episodes = jax.tree.map(lambda leaf: leaf[None], own.episode)
    where = jax.tree.map(lambda _: False, learner)
    where = eqx.tree_at(
        lambda tree: [*jax.tree.leaves(tree.consolidated), *jax.tree.leaves(tree.strength)],
        where,
        replace_fn=lambda _: True,
    )
    gradient, _ = estimator(learner, episodes, key=jr.key(0), where=where)
    estimate = jnp.concatenate([_vector(gradient.consolidated), _vector(gradient.strength)])
    return jnp.linalg.norm(estimate - own.exact) / jnp.linalg.norm(own.exact)


def _settling(learner: ComplexSynapse, steps: int) -> ComplexSynapse:
    solver = Solver("sgd", steps, newton=0 if steps else 1)
    return dataclasses.replace(learner, solver=solver)


def _vector(tree: Any) -> jax.Array:
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])
