"""Feedback + local plasticity: what its changes do, and what is left without one of its parts.

One learner is meta-trained for all the rows of a study.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..report.records import RunFolder
from ..rules.flp import FLP
from ..train.design import Design
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from ._flp_measures import LIFETIMES
from ._meta_trained import MetaTrained, meta_trained
from .base import Found, Study

MOST = 10.0
"""Error of a lifetime, at most: a learner that has lost a part may run away."""
_DECREASE = "decrease of the loss"
_COSINE = "cosine"


def changes_study(design: Design, options: MetaOptions) -> Study:
    """Meta-train; the part of moments whose change lowers their own loss, by how much, by how much
    to first order; how alike the changes and the gradients of two tasks are; what a task does to
    those before it; and the alignment of FLP with all synapses of a layer equally plastic."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        learned = meta_trained(design, options, seeds, folder, reporter, name="changes")
        rows = _rows(learned, _changes)
        cosines = {name: _COSINE for name in rows if "cosine" in name}
        decreases = {name: _DECREASE for name in rows if "decrease" in name}
        return Found(rows, {}, cosines | decreases)

    return study


def lesion_study(design: Design, options: MetaOptions, tops: Sequence[int]) -> Study:
    """Meta-train FLP; the error of new lifetimes, whole and without a part.

    `tops`: numbers of last layers that alone stay plastic.
    """

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        learned = meta_trained(design, options, seeds, folder, reporter, name="lesions")
        return Found(_rows(learned, partial(_lesions, tops=tops)), {})

    return study


def _rows(
    learned: MetaTrained, of_learner: Callable[[Any, Any, jax.Array], Mapping[str, Any]]
) -> dict[str, np.ndarray]:
    """`of_learner(learner, task, key)` of every seed, by row."""
    task = learned.trainer.test_task
    found = [
        of_learner(learned.trainer.learner(own), task, jr.fold_in(own.key, 2))
        for own in learned.replicas()
    ]
    return {name: np.asarray([own[name] for own in found], np.float64) for name in found[0]}


@eqx.filter_jit
def _changes(learner: Any, task: Any, key: jax.Array) -> dict[str, jax.Array]:
    """Means over lifetimes, by row."""
    from ..analysis.lesions import evened
    from ..analysis.lifetimes import interference, update_alignment

    def one(key: jax.Array) -> dict[str, jax.Array]:
        sample_key, life_key = jr.split(key)
        episode = task.sample(sample_key)
        own = update_alignment(learner, episode, key=life_key)
        between = interference(learner, episode, task.functions, key=life_key)
        there = jnp.isfinite(own.before)
        found = {
            "": jnp.where(there, (own.after < own.before).astype(own.before.dtype), jnp.nan),
            "decrease, median moment": jnp.nanmedian(own.before - own.after),
            "decrease to first order, median moment": jnp.nanmedian(own.expected),
            "decrease of earlier curves, to first order": _earlier(between.first_order),
        }
        pairs = ("cosine", "centred", "gradient_cosine", "gradient_centred")
        found |= {_PAIRS[name]: _between(getattr(between, name)) for name in pairs}
        found["cosine with the gradient"] = own.overall
        if isinstance(learner.rule, FLP):
            even = update_alignment(learner, episode, proposer=evened(learner), key=life_key)
            found["cosine with the gradient, all A of a layer alike"] = even.overall
        return {name: jnp.nanmean(values) for name, values in found.items()}

    means = jax.lax.map(one, jr.split(key, LIFETIMES), batch_size=10)
    return {name: values.mean() for name, values in means.items()}


_PAIRS = {
    "cosine": "cosine of two curves' changes",
    "centred": "cosine of two curves' changes, less their mean",
    "gradient_cosine": "cosine of two curves' gradients",
    "gradient_centred": "cosine of two curves' gradients, less their mean",
}


def _between(cosines: jax.Array) -> jax.Array:
    """Mean over pairs of different tasks."""
    count = cosines.shape[0]
    return (cosines.sum() - jnp.trace(cosines)) / (count * (count - 1))


def _earlier(first_order: jax.Array) -> jax.Array:
    """Mean over pairs of a task and one that was learned before it; positive: harmless."""
    return first_order[jnp.tril_indices(first_order.shape[0], -1)].mean()


def _lesions(learner: Any, task: Any, key: jax.Array, tops: Sequence[int]) -> dict[str, float]:
    """Error of the same lifetimes with each lesion, by row."""
    from ..analysis import lesions

    keys = jr.split(jr.fold_in(key, 1), 2)
    hurt = {
        "": learner,
        "beta = 0": lesions.without_feedback(learner),
        "feedback shuffled": lesions.shuffled_feedback(learner, key=keys[0]),
        "feedback drawn anew": lesions.random_feedback(learner, key=keys[1]),
        "all A of a layer alike": lesions.evened(learner),
        **{f"the last {top} left plastic": lesions.only_top(learner, top) for top in tops},
    }
    return {name: float(_error(own, task, key)) for name, own in hurt.items()}


@eqx.filter_jit
def _error(learner: Any, task: Any, key: jax.Array) -> jax.Array:
    """Metric of new lifetimes, their mean; one that runs away counts `MOST`."""
    from ..learners.lifetime import live

    def one(key: jax.Array) -> jax.Array:
        sample_key, life_key = jr.split(key)
        error = live(learner, task.sample(sample_key), key=life_key).metric
        return jnp.minimum(jnp.nan_to_num(error, nan=MOST), MOST)

    return jax.lax.map(one, jr.split(key, LIFETIMES), batch_size=10).mean()
