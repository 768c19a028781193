"""How well the phases of a contrast settled, and what to do where they did not."""

from typing import Any

import jax
import jax.numpy as jnp

from ..learners.bilevel import AbstractBilevelLearner, Fast
from ._settled import FreePhase, norm, over

# Measured on quadratics, a network of 10-8-3 units and sine curves, over strengths, solvers and
# beta, against the exact gradient: of `symmetric` all 53 estimates with an error above 0.3 are
# warned of, and 4 of the 27 others; of `control` 48 of 54, and none of the 26 others.
UNSETTLED = 0.1
"""Slope of the free phase, over that of the nudge, from which contrasts with that phase are
useless."""
UNANSWERED = 1.0
"""The same of a nudged phase: it has not answered the nudge at all."""
OPPOSED = -0.8
"""Cosine of the displacements of the two phases of `symmetric`, below which they answer the
nudge."""
NO_MINIMUM = 2e-3
"""Slope of the free phase, over that of the evaluation loss, from which there is no minimum to
differentiate."""


def phase_quality(
    learner: AbstractBilevelLearner, lived: FreePhase, nudged: Fast, nudges: jax.Array
) -> dict[str, jax.Array]:
    """Measures of one lifetime, of each nudged phase where there are several.

    `free_stationarity` = |dL_learn/dphi| / |b dL_eval/dphi| at the free phase's end, of the
    smallest b; `nudged_stationarity` |dL/dphi| over the same, at the end of each nudged phase
    [phases]; `climb` by how much each ends higher on its own loss than it began [phases], where
    what it descends is that loss's gradient.
    """
    support, query, free, key = lived

    def slope(fast: Fast, b: Any) -> jax.Array:
        return norm(learner.augmented_slope(fast, support, query, b, key=key))

    def climb(fast: Fast, b: Any) -> jax.Array:
        before = learner.augmented_loss(free, support, query, b)
        after = learner.augmented_loss(fast, support, query, b)
        return after - before - climb_tolerance(before)

    nudge = jnp.abs(nudges[0]) * norm(learner.eval_slope(free, query, key=key))
    measures = {
        "free_stationarity": over(slope(free, jnp.zeros_like(nudges[0])), nudge),
        "nudged_stationarity": over(jax.vmap(slope)(nudged, nudges), nudge),
    }
    if learner.slope_is_gradient:
        measures["climb"] = jax.vmap(climb)(nudged, nudges)
    return measures


def climb_tolerance(loss: Any) -> Any:
    """What rounding may make of a loss that has not changed."""
    return 1e-6 * abs(loss)


def opposition(free: Fast, nudged: Fast) -> jax.Array:
    """Cosine of the displacements of two phases from the free one; -1 where one has not moved."""
    moved = jax.tree.map(lambda after, before: after - before, nudged, free)
    plus, minus = (jax.tree.map(lambda leaf, i=i: leaf[i], moved) for i in range(2))
    products = jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), plus, minus))
    product = jnp.stack(products).sum()
    sizes = norm(plus) * norm(minus)
    return jnp.where(sizes == 0, -1.0, product / jnp.where(sizes == 0, 1.0, sizes))


def phase_advice(quality: dict[str, float], *, beta: float, uses_free: bool) -> dict[str, str]:
    """Sentences by measure, where the means over lifetimes say that a contrast is not to be
    trusted: that phases climb, and the first reason why they have not settled.

    `uses_free`: is the end of the free phase one of those that are contrasted?
    """
    told: dict[str, str] = {}
    if not quality:
        return told
    climbs = quality.get("climbs", 0.0)
    if climbs > 0:
        told["climbs"] = (
            f"in {100 * climbs:.3g}% of the lifetimes a nudged phase ends higher on its own loss "
            "than it began: try a smaller --estimator.beta or --estimator.rate, or "
            "--estimator.contrast three_point"
        )
    left, after = quality["free_stationarity"], quality["nudged_stationarity"]
    if uses_free and left > UNSETTLED:
        told["free_stationarity"] = (
            f"the free phase is far from stationary (its slope is {left:.2g} of the nudge's, over "
            f"{UNSETTLED}), so that the estimate is not to be trusted: use --estimator.contrast "
            "symmetric, more --learner.steps, or a larger --learner.strength"
        )
    elif after > UNANSWERED:
        told["nudged_stationarity"] = (
            f"the nudged phases end with a slope {after:.2g} times that of the nudge, so that what "
            "they differ by is mostly how they got there: use a smaller --estimator.rate, more "
            "--estimator.steps, or a larger --estimator.beta"
        )
    elif quality.get("opposition", -1.0) > OPPOSED:
        told["opposition"] = (
            "the nudged phases do not move in opposite directions (cosine "
            f"{quality['opposition']:.2f}, over {OPPOSED}), so that much of what they do is not "
            "the nudge's: use more --learner.steps, a larger --learner.strength, or another "
            "--estimator.beta"
        )
    elif left * abs(beta) > NO_MINIMUM:
        told["free_stationarity"] = (
            f"the free phase ends with a slope {left * abs(beta):.2g} of that of the evaluation "
            f"loss, over {NO_MINIMUM}, far from the minimum whose gradient this is: use more "
            "--learner.steps, or a larger --learner.strength; with a local rule it may settle at "
            "no minimum at all"
        )
    return told
