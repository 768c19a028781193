"""Studies of BLUR's genomes, and of descent, elsewhere than where they were learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ..report.records import RunFolder
from ..train.design import Design, Part
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from ._blur_studies import GRADIENT, RATES, descent
from ._meta_trained import meta_trained
from .base import Found, Study


@dataclass(frozen=True)
class Elsewhere:
    """Another design in which a genome is judged."""

    name: str
    """The row, before the number of updates."""
    task: Mapping[str, Any] = field(default_factory=dict)
    """Options of the task that are others."""
    hidden: tuple[int, ...] | None = None
    """Hidden layers; those of meta-training where they are not given."""
    updates: tuple[int, ...] = ()
    """Updates after which it is judged; the task's where none are given."""


@eqx.filter_jit
def _curve(learner: Any, task: Any, keys: jax.Array) -> jax.Array:
    """Accuracy at birth and after each moment, mean over lifetimes, [1 + moments]."""
    from ..analysis.unrolls import accuracy_over_moments

    return accuracy_over_moments(learner, task, keys=keys).mean(0)


def _held_out(task: Mapping[str, Any], where: Elsewhere) -> Any:
    from ..tasks.labelled_batches import LabelledBatches

    moments = {"moments": max(where.updates)} if where.updates else {}
    return LabelledBatches(**{**task, **where.task, **moments}).load().held_out()


def _rows(where: Elsewhere, moments: int, curves: np.ndarray) -> dict[str, np.ndarray]:
    """`curves`: [seeds, 1 + moments]."""
    if not where.updates:
        return {where.name: curves[:, moments]}
    named = f"{where.name}, " if where.name else ""
    return {f"{named}{n} updates": curves[:, n] for n in where.updates}


def elsewhere_study(
    task: Mapping[str, Any],
    fields: Mapping[str, Any],
    options: MetaOptions,
    places: Sequence[Elsewhere],
    lifetimes: int,
) -> Study:
    """Meta-train a genome on batches of images, and judge it at every one of `places`."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        design = Design(
            learner=Part("blur", dict(fields)),
            task=Part("labelled_batches", dict(task)),
            estimator=GRADIENT,
        )
        learned = meta_trained(design, options, seeds, folder, reporter, name="genomes")
        learners = learned.learners()
        rows, shown = {}, {}
        for where in places:
            reporter.compiling(where.name)
            held = _held_out(task, where)
            moved = [own.with_network(held, hidden=where.hidden) for own in learners]
            pairs = zip(moved, seeds, strict=True)
            curves = np.asarray([_curve(own, held, _keys(seed, lifetimes)) for own, seed in pairs])
            rows |= _rows(where, held.moments, curves)
            shown[where.name] = curves
        last: Any = learned.trainer.test_task  # as meta-training ended: lifetimes may have grown
        return Found(rows, {"accuracy": shown, "horizon": last.moments})

    return study


def descent_study(
    task: Mapping[str, Any], hidden: tuple[int, ...], places: Sequence[Elsewhere], lifetimes: int
) -> Study:
    """Gradient descent on cross-entropy at the same places, at every number of updates at the rate
    that is best for it."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        del folder
        rows, shown = {}, {}
        for where in places:
            reporter.compiling(f"gradient descent, {where.name}")
            held = _held_out(task, where)
            learners = [descent(held, where.hidden or hidden, 0.0, rate) for rate in RATES]
            every = np.asarray(
                [[_curve(own, held, _keys(seed, lifetimes)) for seed in seeds] for own in learners]
            )
            best = every.mean(1).argmax(0)
            curves = np.take_along_axis(every, best[None, None], 0)[0]
            rows |= _rows(where, held.moments, curves)
            shown[where.name] = curves
        return Found(rows, {"accuracy": shown})

    return study


def _keys(seed: int, lifetimes: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), lifetimes)
