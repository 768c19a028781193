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
_TOLERANCE = 1e-8
_DRAWS = 64
"""Keys over which rules that draw random numbers are averaged."""


@check(CHECKS, "batch-size", needs=("dtype",))
def batch_size(subject: Subject) -> str | None:
    """The batch size divides once: a batch that holds every example twice changes nothing."""
    one = subject.problem(subject.dense, size=1)
    eqx.filter_eval_shape(subject.step, one)
    if subject.draws:
        _name_factor(*_drawn(subject), BATCH, tolerance=0.5)
        return "on average over keys, a batch weighs as much as each of its examples"
    problem = subject.plain
    x, y = (jnp.asarray(np.repeat(np.asarray(own), 2, 0)) for own in (problem.x, problem.y))
    once, both = subject.first, subject.step(problem._replace(x=x, y=y))
    summed = subject.rule.properties.batch_sum
    expected = jax.tree.map(lambda leaf: 2 * leaf, once.updates) if summed else once.updates
    if difference(both.updates, expected) > _TOLERANCE:
        if summed:
            raise Failed(
                "declares batch_sum=True, but a batch that holds every example twice does not "
                "double the update: return the sum over examples, or declare False"
            )
        _name_factor(both.updates, once.updates, 2, tolerance=1e-6)
        raise Failed(
            "the update changes when every example of the batch comes twice: let the batch enter "
            "by means over examples alone"
        )
    if difference(both.aux.loss, once.aux.loss) > _TOLERANCE:
        raise Failed("aux.loss changes when every example comes twice: return the mean, not a sum")
    return "the update is the sum over the batch, as declared" if summed else None


@check(CHECKS, "batch-mean", needs=("batch-size",))
def batch_mean(subject: Subject) -> None:
    """The update of a batch is the mean of the updates of its examples."""
    if not subject.rule.properties.batch_linear:
        raise Skipped("declares batch_linear=False: examples of a batch act together")
    if subject.draws:
        raise Skipped("it draws for each example, so that an example alone is another one")
    for case in subject.cases[0]:
        if "normalised" in case.name:
            continue  # batch normalisation joins the examples whatever the rule
        whole, mean = _whole_and_mean(subject, subject.problem(case))
        if difference(whole, mean) > _TOLERANCE:
            raise Failed(_not_the_mean(case, whole, mean))


def _whole_and_mean(subject: Subject, problem: Problem) -> tuple[Any, Any]:
    """Updates of the batch, and the mean of the updates of each example, repeated to fill the
    batch: the same size throughout, and so one compilation."""
    arrays, static = eqx.partition(problem, eqx.is_array)

    def updates(own: Any, x: jax.Array, y: jax.Array) -> Any:
        return subject.step(eqx.combine(own, static)._replace(x=x, y=y)).updates

    # Single operations are compiled once for all rules, but on images they are many.
    quick = updates if problem.x.ndim == 2 else compiled(updates)
    x, y = np.asarray(problem.x), np.asarray(problem.y)
    filled = [
        [jnp.asarray(np.repeat(own[i : i + 1], BATCH, 0)) for own in (x, y)] for i in range(BATCH)
    ]
    each = [quick(arrays, *own) for own in filled]
    mean = jax.tree.map(lambda *own: np.mean([np.asarray(leaf) for leaf in own], 0), *each)
    return quick(arrays, problem.x, problem.y), mean


def _drawn(subject: Subject) -> tuple[Any, Any]:
    """Updates of a batch, and of its examples one by one, each the mean over many keys."""
    problem = subject.plain
    keys = jr.split(problem.key, _DRAWS)

    def updates(x: jax.Array, y: jax.Array) -> Any:
        own = problem._replace(x=x, y=y)
        drawn = jax.vmap(lambda key: subject.step(own._replace(key=key)).updates)(keys)
        return jax.tree.map(lambda leaf: leaf.mean(0), drawn)

    quick, x, y = compiled(updates), problem.x, problem.y
    each = [quick(x[i : i + 1], y[i : i + 1]) for i in range(BATCH)]
    return quick(x, y), jax.tree.map(lambda *own: sum(own) / BATCH, *each)


def _ratio(a: Any, b: Any) -> float:
    """The factor c that brings c b nearest to a."""
    p, q = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(own)]) for own in (a, b))
    product, square = float(p @ q), float(q @ q)
    return product / square if square > 0 else 1.0


def _name_factor(a: Any, b: Any, size: int, *, tolerance: float) -> None:
    """Raise `Failed` where a layer's update in `a`, a batch `size` times as large as `b`'s,
    weighs `size` or 1/`size` times what it should."""
    pairs = list(zip(plastic_layers(a), plastic_layers(b), strict=True))
    ratios = [_ratio(*pair) for pair in pairs]
    twice = [i for i, ratio in enumerate(ratios, 1) if abs(ratio * size - 1) < tolerance]
    never = [i for i, ratio in enumerate(ratios, 1) if abs(ratio / size - 1) < tolerance]
    if twice:
        raise Failed(
            f"divides by the batch size twice in {_layers(twice, len(pairs))}: `layer.learn` takes "
            "the mean, so hand it signals of single examples that nothing has divided"
        )
    if never:
        raise Failed(
            f"forgets to divide by the batch size in {_layers(never, len(pairs))}: return the mean "
            "over the batch, as `layer.learn` does, not the sum"
        )


def _layers(numbers: list[int], count: int) -> str:
    if len(numbers) == count:
        return "every layer"
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _not_the_mean(case: Case, whole: Any, mean: Any) -> str:
    pairs = zip(plastic_layers(whole), plastic_layers(mean), strict=True)
    for index, (a, b) in enumerate(pairs, 1):
        if difference(a, b) > _TOLERANCE:
            return (
                f"the update of layer {index} of a {case.name} network is {_ratio(a, b):.3g} times "
                "the mean of its examples' updates, as near as a factor can bring it: declare "
                "batch_linear=False if examples are meant to act together"
            )
    return "the update of a batch is not the mean of those of its examples"
