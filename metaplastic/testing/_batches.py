"""Checks of how an update depends on its batch: divided by its size exactly once."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..models import plastic_layers
from ._cases import BATCH, Case
from ._findings import Failed, Skipped, Table, check
from ._subject import Problem, Subject, difference
from ._training import compiled

CHECKS: Table = {}
_DRAWS = 64
"""Keys over which rules that draw random numbers are averaged."""


@check(CHECKS, "batch-mean", needs=("structure",))
def batch_mean(subject: Subject) -> str | None:
    """The update of a batch is the mean of the updates of its examples."""
    if not subject.rule.properties.batch_linear:
        raise Skipped("declares batch_linear=False: examples of a batch act together")
    # Batch normalisation joins the examples of a batch whatever the rule.
    cases = [case for case in subject.cases[0] if "normalised" not in case.name]
    for case in cases:
        problem = subject.problem(case)
        whole, mean = _whole_and_mean(subject, problem)
        ratio = _ratio(whole, mean)
        if subject.draws:
            _name_factor(ratio, BATCH, tolerance=0.5)
            continue
        if difference(whole, mean) > 1e-8:
            _name_factor(ratio, BATCH, tolerance=1e-6)
            raise Failed(_not_the_mean(case, whole, mean))
    return "on average over keys, the batch size divides once" if subject.draws else None


@check(CHECKS, "batch-repeat", needs=("structure",))
def batch_repeat(subject: Subject) -> None:
    """A batch that holds every example twice gives the same update and the same loss."""
    if subject.draws:
        raise Skipped("it draws for each example, so that repeated examples differ")
    problem = subject.plain
    x, y = (jnp.asarray(np.repeat(np.asarray(own), 2, 0)) for own in (problem.x, problem.y))
    twice = problem._replace(x=x, y=y)
    once, both = subject.first, subject.step(twice)
    if difference(both.aux.loss, once.aux.loss) > 1e-8:
        raise Failed("aux.loss changes when every example comes twice: return the mean, not a sum")
    if difference(both.updates, once.updates) > 1e-8:
        _name_factor(_ratio(both.updates, once.updates), 2, tolerance=1e-6)
        raise Failed(
            "the update changes when every example of the batch comes twice: let the batch enter "
            "by means over examples alone"
        )


def _whole_and_mean(subject: Subject, problem: Problem) -> tuple[Any, Any]:
    """Updates of the batch, and the mean of the updates of its examples."""
    arrays, static = eqx.partition(problem, eqx.is_array)

    def updates(own: Any, x: jax.Array, y: jax.Array, keys: jax.Array) -> Any:
        given = eqx.combine(own, static)._replace(x=x, y=y)
        if keys.ndim == 0:
            return subject.step(given._replace(key=keys)).updates
        drawn = jax.vmap(lambda key: subject.step(given._replace(key=key)).updates)(keys)
        return jax.tree.map(lambda leaf: leaf.mean(0), drawn)

    keys = jr.split(problem.key, _DRAWS) if subject.draws else problem.key
    x, y = problem.x, problem.y
    # Single operations are compiled once for all rules, but many they are on images.
    quick = updates if keys.ndim == 0 and x.ndim == 2 else compiled(updates)
    singles = zip(np.split(np.asarray(x), BATCH), np.split(np.asarray(y), BATCH), strict=True)
    each = [quick(arrays, jnp.asarray(x), jnp.asarray(y), keys) for x, y in singles]
    mean = jax.tree.map(lambda *own: np.mean([np.asarray(leaf) for leaf in own], 0), *each)
    return quick(arrays, x, y, keys), mean


def _ratio(a: Any, b: Any) -> float:
    """The factor c that brings c b nearest to a."""
    p, q = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(own)]) for own in (a, b))
    product, square = float(p @ q), float(q @ q)
    return product / square if square > 0 else 1.0


def _name_factor(ratio: float, size: int, *, tolerance: float) -> None:
    """Raise `Failed` where a whole batch weighs `size` or 1/`size` times what it should."""
    if abs(ratio * size - 1) < tolerance:
        raise Failed(
            "divides by the batch size twice: `layer.learn` has already taken the mean, so hand "
            "it signals of single examples that nothing has divided"
        )
    if abs(ratio / size - 1) < tolerance:
        raise Failed(
            "forgets to divide by the batch size: return the mean over the batch, as `layer.learn` "
            "does, not the sum"
        )


def _not_the_mean(case: Case, whole: Any, mean: Any) -> str:
    pairs = zip(plastic_layers(whole), plastic_layers(mean), strict=True)
    for index, (a, b) in enumerate(pairs, 1):
        if difference(a, b) > 1e-8:
            return (
                f"the update of layer {index} of a {case.name} network is {_ratio(a, b):.3g} times "
                "the mean of its examples' updates, as near as a factor can bring it: declare "
                "batch_linear=False if examples are meant to act together"
            )
    return "the update of a batch is not the mean of those of its examples"
