"""Hebbian plasticity by backpropagation: what fixed weights, coefficients and imprints became."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..report.records import RunFolder
from ..train.design import Design
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from ._meta_trained import MetaTrained, meta_trained
from .base import Found, Study

MAGNITUDE = "mean over synapses"
GROWTH = "ratio of imprints"
_LIFETIMES = 50
"""New lifetimes, over which imprints are means."""
_SECOND, _FIFTH = slice(2, 4), slice(8, 10)
"""Moments of the second and of the fifth presentation of two patterns in turn."""


def roles_study(design: Design, options: MetaOptions) -> Study:
    """Meta-train; what `w` and `alpha` do, accuracy by the number of negative hidden units, and how
    the imprint of a pattern grows from its second presentation to its fifth.

    A seed that has no unit of a kind is in no row of that kind.
    """

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        learned = meta_trained(design, options, seeds, folder, reporter, name="roles")
        layer = learned.outcome.state.learner.layers[0]
        weight, alpha = np.asarray(layer.weight), np.asarray(layer.plasticity.alpha)
        if weight.shape[-1] == weight.shape[-2]:
            from ..analysis.hebbian import completion_roles

            roles = completion_roles(weight, alpha)
            return Found(roles, {}, dict.fromkeys(roles, MAGNITUDE))
        from ..analysis.hebbian import label_roles, negative_units

        roles, negative = label_roles(weight, alpha), negative_units(alpha)
        accuracy = np.asarray(learned.outcome.test.mean(-1))
        by_sign = {
            f"{count} of {alpha.shape[-1]} units negative": accuracy[negative == count]
            for count in range(alpha.shape[-1] + 1)
        }
        growth = _growth(learned)
        rows = {name: own for name, own in (by_sign | growth).items() if len(own)}
        metrics = dict.fromkeys(roles, MAGNITUDE) | dict.fromkeys(growth, GROWTH)
        return Found({**rows, **roles}, {}, metrics)

    return study


def _growth(learned: MetaTrained) -> dict[str, np.ndarray]:
    """|imprint| at the fifth presentation over that at the second, by the sign of the unit."""
    from ..analysis.hebbian import most_negative

    found: dict[str, list[float]] = {"imprint of negative units": [], "imprint of the others": []}
    task = learned.trainer.test_task
    for own in learned.replicas():
        learner = learned.trainer.learner(own)
        ratio = np.asarray(_imprints(learner, task, jr.fold_in(own.key, 2)))
        negative = most_negative(learner.layers[0].plasticity.alpha)
        for name, units in zip(found, (negative, ~negative), strict=True):
            if units.any():
                found[name].append(float(ratio[units].mean()))
    return {name: np.asarray(own, np.float64) for name, own in found.items()}


@eqx.filter_jit
def _imprints(learner: Any, task: Any, key: jax.Array) -> jax.Array:
    """The ratio of every unit, [units]."""
    from ..analysis.hebbian import watch

    seen = jax.vmap(lambda own: watch(learner, task.sample(own))["imprint"])(
        jr.split(key, _LIFETIMES)
    )
    size = jnp.abs(seen)
    return size[:, _FIFTH].mean((0, 1)) / size[:, _SECOND].mean((0, 1))
