"""BLUR's genomes elsewhere: other resolutions, data, widths, depths, nonlinearities, horizons."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..train.meta_options import MetaOptions
from ._blur_elsewhere import Elsewhere, descent_study, elsewhere_study
from .base import Experiment, Scale, Study, StudyArm

_NORMS = ("none", "forward", "backward", "both")
_DIGITS: dict[str, Any] = {"data": "digits", "batch": 64, "moments": 10}
_MNIST: dict[str, Any] = {"data": "mnist", "batch": 128, "moments": 10, "queries": 500}
_PROBLEMS = ("all", "0-4", "5-9")
_SHORT = MetaOptions(steps=600, meta_batch=4, lr=3e-3, clip=10.0, non_finite="skip")
"""Meta-steps: chosen on seeds 100 and 101, where after 150 other resolutions were left to luck."""
_LONG = dataclasses.replace(_SHORT, steps=10_000, meta_batch=2, lr=5e-4)
_LIFETIMES = {"quick": 20, "full": 100}
_SEEDS = {"quick": 1, "full": 3}


def _arm(setting: str, study: Study) -> StudyArm:
    return StudyArm(setting=setting, study=study, figure="blur_elsewhere", higher_is_better=True)


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
