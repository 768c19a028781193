"""Is this rule a gradient? The Jacobian of a learner's update, and what its symmetry says.

The update of a moment is a vector field over the fast weights, v(w) = w' - w at fixed data. It is
minus the gradient of something exactly where its Jacobian J = dv/dw is symmetric, and minus the
gradient in a constant metric M (preconditioned descent, v = -M^-1 grad L) where M J is. Sandler et
al. (2021), "Meta-learning bidirectional update rules", section 3 (figure 2) and appendix A.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key, Scalar
from ..learners.base import AbstractLearner, Life
from ..learners.lifetime import Moment, moments, stepper
from ..learners.online import OnlineLife
from ..learners.paths import is_inexact, matches, path_name, paths
from ..tasks.base import Episode

MOST_WEIGHTS = 2_000
"""Fast weights of which a Jacobian is taken."""
MOST_OF_METRICS = 64
"""Fast weights for which constant metrics are looked for: there are n (n + 1) / 2 unknowns."""
_ZERO = 1e-5
"""Relative singular value below which a direction belongs to a null space."""


class Metrics(NamedTuple):
    """The constant metrics in which an update might be a gradient."""

    basis: np.ndarray
    """Symmetric matrices that solve M J = J^T M at every state, [dimension, n, n]."""
    definite: float
    """Smallest over largest eigenvalue of the most positive definite one that was found; the
    update can be a gradient only where it is above 0."""


def asymmetry(jacobian: Float[Array, "n n"]) -> Scalar:
    """|J - J^T|_F / |J + J^T|_F: 0 for a gradient, about 1 for an arbitrary field; 0 for J = 0."""
    part = jnp.linalg.norm(jacobian - jacobian.T)
    whole = jnp.linalg.norm(jacobian + jacobian.T)
    return jnp.where(part > 0, part / whole, 0.0)


def update_jacobian(
    learner: AbstractLearner,
    life: Life,
    x: jax.Array,
    y: jax.Array | None,
    *,
    weights: Sequence[str] | None = None,
    key: Key,
) -> Float[Array, "n n"]:
    """J_ij = d(change of weight i) / d(weight j) of one moment, at fixed data.

    `weights` are patterns of paths in the life: what counts as a weight. By default the network of
    a learner `online` (not its feedback and not its optimiser's state), all arrays of the life of
    others. `x` has gone through `perceive`. Raises `UsageError` for more than 2,000 weights.
    """
    field, start = _field(learner, life, x, y, weights, key)
    return jax.jacfwd(field)(start)


def asymmetry_over_lifetime(
    learner: AbstractLearner,
    episode: Episode,
    *,
    weights: Sequence[str] | None = None,
    key: Key,
) -> Float[Array, " time"]:
    """The asymmetry of each moment's update, at the weights of that moment."""
    return _each_moment(learner, episode, asymmetry, weights, key)


def jacobians_over_lifetime(
    learner: AbstractLearner,
    episode: Episode,
    *,
    weights: Sequence[str] | None = None,
    key: Key,
) -> Float[Array, "time n n"]:
    """The Jacobian of each moment's update, for `constant_metrics`."""
    return _each_moment(learner, episode, lambda jacobian: jacobian, weights, key)


def constant_metrics(jacobians: Any, *, tolerance: float = _ZERO) -> Metrics:
    """All symmetric M with M J = J^T M at every state, and how positive definite one of them is.

    `jacobians` [states, n, n]. The solutions are the null space of a linear map, by its singular
    values relative to the largest. Raises `UsageError` for more than 64 weights.
    """
    fields = np.asarray(jacobians, np.float64)
    n = fields.shape[-1]
    if n > MOST_OF_METRICS:
        raise UsageError(
            f"{n} weights have {n * (n + 1) // 2} possible metrics: take a learner of at most "
            f"{MOST_OF_METRICS} weights"
        )
    rows, columns = np.triu_indices(n)
    upper = np.triu_indices(n, 1)
    square = np.zeros((len(rows), len(rows)))
    for field in fields:
        scale = np.linalg.norm(field) or 1.0
        # (E J)_kl of E = e_i e_j^T + e_j e_i^T, less its transpose, above the diagonal.
        image = np.zeros((len(rows), n, n))
        places = np.arange(len(rows))
        image[places, rows] += field[columns] / scale
        off = rows != columns
        image[places[off], columns[off]] += field[rows[off]] / scale
        image = (image - image.transpose(0, 2, 1))[:, upper[0], upper[1]]
        square += image @ image.T
    values, vectors = np.linalg.eigh(square)
    null = vectors[:, values <= tolerance**2 * max(values[-1], 1e-300)]
    basis = np.zeros((null.shape[1], n, n))
    basis[:, rows, columns] = null.T
    basis[:, columns, rows] = null.T
    return Metrics(basis, _most_definite(basis))


def _each_moment(
    learner: AbstractLearner,
    episode: Episode,
    measure: Callable[[jax.Array], jax.Array],
    weights: Sequence[str] | None,
    key: Key,
) -> jax.Array:
    """A measure of the Jacobian of every moment of a lifetime, time first."""
    birth_key, step_key = jr.split(key)
    step = stepper(learner, key=step_key)

    def moment(life: Life, own: Moment) -> tuple[Life, jax.Array]:
        now = jr.fold_in(step_key, own.index)
        jacobian = update_jacobian(learner, life, own.x, own.y, weights=weights, key=now)
        return step(life, own)[0], measure(jacobian)

    life = learner.birth(key=birth_key)
    return jax.lax.scan(moment, life, moments(learner, episode.stream))[1]


def _field(
    learner: AbstractLearner,
    life: Life,
    x: jax.Array,
    y: jax.Array | None,
    weights: Sequence[str] | None,
    key: Key,
) -> tuple[Callable[[jax.Array], jax.Array], jax.Array]:
    """`v(w)` as a function of one vector, and the vector where the life is."""
    if weights is None:
        weights = ("model",) if isinstance(life, OnlineLife) else ("*",)
    chosen = jax.tree_util.tree_map_with_path(
        lambda path, leaf: is_inexact(leaf) and any(matches(path_name(path), p) for p in weights),
        life,
    )
    moved, rest = eqx.partition(life, chosen)
    start, unravel = ravel_pytree(moved)
    if not 0 < start.size <= MOST_WEIGHTS:
        known = ", ".join(list(paths(life))[:4])
        raise UsageError(
            f"{start.size} fast weights match {' '.join(weights)} (there are {known}, …): a "
            f"Jacobian is taken of 1 to {MOST_WEIGHTS}"
        )

    def field(own: jax.Array) -> jax.Array:
        after, _ = learner.step(eqx.combine(unravel(own), rest), x, y, key=key)
        return ravel_pytree(eqx.filter(after, chosen))[0] - own

    return field, start


def _most_definite(basis: np.ndarray) -> float:
    """The largest smallest eigenvalue, relative to the largest, of a matrix in a linear space.

    Ascent along the subgradient v v^T (v the eigenvector of the smallest eigenvalue) from each of
    the basis's matrices, both signs, and from the identity's projection: the function is concave.
    """
    if not len(basis):
        return -1.0
    flat = basis.reshape(len(basis), -1)
    eye = flat @ np.eye(basis.shape[1]).reshape(-1)
    starts = [eye, *np.eye(len(basis)), *-np.eye(len(basis))][:20]
    return max(_ascended(flat, basis.shape[1], own) for own in starts if np.linalg.norm(own) > 0)


def _ascended(flat: np.ndarray, n: int, weight: np.ndarray, steps: int = 300) -> float:
    best = -1.0
    for step in range(steps):
        weight = weight / np.linalg.norm(weight)
        values, vectors = np.linalg.eigh((weight @ flat).reshape(n, n))
        best = max(best, float(values[0] / np.abs(values).max()))
        slope = flat @ np.outer(vectors[:, 0], vectors[:, 0]).reshape(-1)
        norm = np.linalg.norm(slope)
        if norm == 0:
            break
        weight = weight + slope / norm / (step + 2) ** 0.5
    return best
