"""BLUR's genomes elsewhere: other resolutions, data, widths, depths, nonlinearities, horizons."""

import dataclasses
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
from .base import Experiment, Found, Scale, Study, StudyArm

_NORMS = ("none", "forward", "backward", "both")
_DIGITS: dict[str, Any] = {"data": "digits", "batch": 64, "moments": 10}
_MNIST: dict[str, Any] = {"data": "mnist", "batch": 128, "moments": 10, "queries": 500}
_PROBLEMS = ("all", "0-4", "5-9")
_SHORT = MetaOptions(steps=150, meta_batch=4, lr=3e-3, clip=10.0, non_finite="skip")
_LONG = dataclasses.replace(_SHORT, steps=10_000, meta_batch=2, lr=5e-4)
_LIFETIMES = {"quick": 20, "full": 100}
_SEEDS = {"quick": 1, "full": 3}


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
        learners = meta_trained(design, options, seeds, folder, reporter, name="genomes").learners()
        rows: dict[str, np.ndarray] = {}
        for where in places:
            reporter.compiling(where.name)
            held = _held_out(task, where)
            moved = [own.with_network(held, hidden=where.hidden) for own in learners]
            pairs = zip(moved, seeds, strict=True)
            curves = [_curve(own, held, _keys(seed, lifetimes)) for own, seed in pairs]
            rows |= _rows(where, held.moments, np.asarray(curves))
        return Found(rows, {"places": list(rows)})

    return study


def descent_study(
    task: Mapping[str, Any], hidden: tuple[int, ...], places: Sequence[Elsewhere], lifetimes: int
) -> Study:
    """Gradient descent on cross-entropy at the same places, each number at its best rate."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        del folder
        rows: dict[str, np.ndarray] = {}
        for where in places:
            reporter.compiling(f"gradient descent, {where.name}")
            held = _held_out(task, where)
            learners = [descent(held, where.hidden or hidden, 0.0, rate) for rate in RATES]
            found = [
                _rows(
                    where,
                    held.moments,
                    np.asarray([_curve(own, held, _keys(seed, lifetimes)) for seed in seeds]),
                )
                for own in learners
            ]
            rows |= {
                name: max((own[name] for own in found), key=lambda row: row.mean())
                for name in found[0]
            }
        return Found(rows, {"places": list(rows)})

    return study


def _keys(seed: int, lifetimes: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), lifetimes)


def _arm(setting: str, study: Study) -> StudyArm:
    return StudyArm(setting=setting, study=study, higher_is_better=True)


def _experiment(
    name: str, title: str, protocol: str, arms: Mapping[Scale, tuple[StudyArm, ...]], subject: str
) -> Experiment:
    return Experiment(
        name=name,
        title=title,
        metric="held-out accuracy, %",
        quick=arms["quick"],
        full=arms["full"],
        seeds=_SEEDS,
        subject=subject,
        protocol=protocol,
    )


_BESIDE = " SGD: on cross-entropy, each number at the best of five rates, chosen on that number."


def generalisation() -> Experiment:
    """Three problems at a low resolution; other resolutions, data and widths."""
    small = {**_DIGITS, "classes": _PROBLEMS}
    quick = (
        Elsewhere("the problems themselves"),
        Elsewhere("16 x 16", {"resize": 16, "classes": ("all",)}, updates=(10, 50)),
        Elsewhere("16 x 16, twice as wide", {"resize": 16, "classes": ("all",)}, (128, 64)),
        Elsewhere("permuted inputs", {"permute": True}),
    )
    large = {**_MNIST, "resize": 10, "classes": _PROBLEMS, "moments": 15}
    sizes = ((256,), (256, 128), (512, 256))
    whole: dict[str, Any] = {"resize": 28, "classes": ("all",)}
    full = (
        Elsewhere("the problems themselves"),
        *(
            Elsewhere(f"{data}, {' '.join(map(str, own))}", {**whole, "data": data}, own, (15, 100))
            for data in ("mnist", "fashion_mnist", "emnist")
            for own in sizes
        ),
    )

    def arms(
        scale: Scale,
        task: dict[str, Any],
        hidden: tuple[int, ...],
        places: Sequence[Elsewhere],
        options: MetaOptions,
    ) -> tuple[StudyArm, ...]:
        fields, count = {"hidden": hidden, "states": 4}, _LIFETIMES[scale]
        return (
            _arm("BLUR", elsewhere_study(task, fields, options, places, count)),
            _arm("SGD", descent_study(task, hidden, places, count)),
        )

    return _experiment(
        "generalisation",
        "From three problems at a low resolution to other images",
        "Four states, two hidden layers; all classes, 0-4 and 5-9 as three problems. quick: digits "
        "at 8 x 8, 10 updates by batches of 64. full: MNIST at 10 x 10, then 28 x 28 and the "
        "paper's widths; EMNIST by its balanced part, where the paper has letters and 62 classes. "
        "The paper shows its accuracies as curves." + _BESIDE,
        {
            "quick": arms("quick", small, (64, 32), quick, _SHORT),
            "full": arms("full", large, (256, 128), full, _LONG),
        },
        "BLUR",
    )


def normalisation() -> Experiment:
    """Neither pass, one, or both normalised: does a genome carry over?"""

    def arms(
        scale: Scale, task: dict[str, Any], hidden: int, larger: int, options: MetaOptions
    ) -> tuple[StudyArm, ...]:
        places = (
            Elsewhere("as meta-trained"),
            Elsewhere(f"{larger} x {larger}", {"resize": larger}),
            *(Elsewhere(f"{n} hidden layers", hidden=(hidden,) * n) for n in (2, 4)),
        )
        return tuple(
            _arm(
                f"normalised: {own}",
                elsewhere_study(
                    task, {"hidden": (hidden,), "norm": own}, options, places, _LIFETIMES[scale]
                ),
            )
            for own in _NORMS
        )

    return _experiment(
        "normalisation",
        "Normalisation of activities, over resolution and depth",
        "One hidden layer in meta-training. quick: digits at 8 x 8 (32 units), 10 updates by "
        "batches of 64; full: MNIST at 14 x 14 (128 units), then 28 x 28. The paper shows the same "
        "as a plot.",
        {
            "quick": arms("quick", _DIGITS, 32, 16, _SHORT),
            "full": arms("full", {**_MNIST, "resize": 14}, 128, 28, _LONG),
        },
        "normalised: both",
    )


_PAIRS = (
    *(("tanh", own) for own in ("tanh", "identity", "relu")),
    *(("relu", own) for own in ("tanh", "identity", "relu")),
    ("sigmoid", "tanh"),
    ("softplus", "tanh"),
)


def activations() -> Experiment:
    """A genome for each pair of nonlinearities, forward and backward."""

    def arms(
        scale: Scale, task: dict[str, Any], hidden: int, options: MetaOptions
    ) -> tuple[StudyArm, ...]:
        return tuple(
            _arm(
                f"{forward} up, {backward} down",
                elsewhere_study(
                    task,
                    {"hidden": (hidden,), "activation": forward, "backward_activation": backward},
                    options,
                    (Elsewhere(""),),
                    _LIFETIMES[scale],
                ),
            )
            for forward, backward in _PAIRS
        )

    return _experiment(
        "activations",
        "Nonlinearities of the forward and of the backward pass",
        "One hidden layer, 10 updates, outputs always tanh. quick: digits at 8 x 8; full: MNIST at "
        "28 x 28. The paper shows a range of about 72 to 88 % as a plot, of pairs that are not all "
        "these.",
        {
            "quick": arms("quick", _DIGITS, 32, _SHORT),
            "full": arms("full", {**_MNIST, "resize": 28}, 128, _LONG),
        },
        "tanh up, tanh down",
    )


def curriculum() -> Experiment:
    """Lifetimes that grow longer during meta-training, of several genomes, against short ones."""

    def arms(
        scale: Scale,
        task: dict[str, Any],
        hidden: int,
        options: MetaOptions,
        growth: str,
        updates: tuple[int, ...],
    ) -> tuple[StudyArm, ...]:
        settings = {"lifetimes grow": growth, "lifetimes as at first": None}
        fields = {"hidden": (hidden,), "init": "random"}
        return tuple(
            _arm(
                setting,
                elsewhere_study(
                    task,
                    fields,
                    dataclasses.replace(options, curriculum=own),
                    (Elsewhere("", updates=updates),),
                    _LIFETIMES[scale],
                ),
            )
            for setting, own in settings.items()
        )

    few = dataclasses.replace(_SHORT, steps=160, species=4, meta_batch=2)
    many = dataclasses.replace(_LONG, steps=60_000, species=8, meta_batch=1)
    return _experiment(
        "curriculum",
        "Lifetimes that grow during meta-training",
        "Genomes that begin at random, the best of which goes on at every stage. quick: digits, "
        "four genomes, 5 updates and 5 more every 40 of 160 meta-steps; full: MNIST at 14 x 14, "
        "the paper's eight genomes, 10 updates and 5 more every 10,000 of 60,000. The paper shows "
        "curves to about 60 updates.",
        {
            "quick": arms(
                "quick", {**_DIGITS, "moments": 5}, 32, few, "task.moments=5+5/40", (5, 20, 60)
            ),
            "full": arms(
                "full",
                {**_MNIST, "resize": 14},
                512,
                many,
                "task.moments=10+5/10000",
                (10, 35, 60),
            ),
        },
        "lifetimes grow",
    )
