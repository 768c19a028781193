"""BLUR on images and its variants: gradient and CMA-ES, states, symmetry, initial genome."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ..report.records import RunFolder
from ..train.design import Design, Part
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from ._blur_studies import GRADIENT, RATES, descent
from ._blur_toy import FULL, SHORT, TASK
from .base import AnyArm, Experiment, Found, MetaArm, Reported, Study, StudyArm

_DIGITS: dict[str, Any] = {"data": "digits", "batch": 64, "moments": 10}
_MNIST: dict[str, Any] = {
    "data": "mnist",
    "resize": 14,
    "batch": 128,
    "moments": 15,
    "queries": 500,
}
_OMNIGLOT: dict[str, Any] = {
    "data": "omniglot",
    "resize": 28,
    "classes": ("0-963",),
    "held_classes": ("964-1622",),
    "ways": 10,
    "batch": 128,
    "queries": 128,
}
_LIFE: dict[str, Any] = {"clip": 10.0, "non_finite": "skip"}


def _arm(
    setting: str,
    learner: Mapping[str, Any],
    task: tuple[str, Mapping[str, Any]],
    options: MetaOptions,
    estimator: Part = GRADIENT,
    reported: Reported | None = None,
) -> MetaArm:
    design = Design(
        learner=Part("blur", dict(learner)), task=Part(task[0], dict(task[1])), estimator=estimator
    )
    return MetaArm(setting=setting, design=design, options=options, reported=reported)


def _descent_study(task: Mapping[str, Any], hidden: tuple[int, ...], lifetimes: int) -> Study:
    """Gradient descent on cross-entropy, at the rate that is best on these very numbers."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        from ..analysis.unrolls import accuracy_over_moments
        from ..tasks.labelled_batches import LabelledBatches

        del folder
        held = LabelledBatches(**task).load().held_out()
        reporter.compiling(f"gradient descent, {len(RATES)} rates")
        judge = jax.jit(lambda learner, keys: accuracy_over_moments(learner, held, keys=keys))
        found = {
            rate: np.stack(
                [
                    np.asarray(judge(descent(held, hidden, 0.0, rate), _keys(seed, lifetimes)))
                    for seed in seeds
                ]
            ).mean(1)[:, -1]
            for rate in RATES
        }
        best = max(found, key=lambda rate: found[rate].mean())
        return Found({"": found[best]}, {"rate": best})

    return study


def _keys(seed: int, lifetimes: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), lifetimes)


_DESCENT = (
    "SGD is gradient descent on the cross-entropy at the best of five rates, chosen on these very "
    "numbers."
)
_TESTS = 20
"""Lifetimes of a test on MNIST."""


def images() -> Experiment:
    """Digits, by gradient and by evolution of the genome, against gradient descent."""

    def descents(task: Mapping[str, Any], hidden: tuple[int, ...], lifetimes: int) -> StudyArm:
        study = _descent_study(task, hidden, lifetimes)
        return StudyArm(setting="SGD", study=study, higher_is_better=True)

    task, small = ("labelled_batches", _DIGITS), {"hidden": (32,)}

    def arms(longer: int, lifetimes: int) -> tuple[AnyArm, ...]:
        descended = MetaOptions(steps=150 * longer, meta_batch=4, lr=3e-3, **_LIFE)
        evolved = MetaOptions(steps=60 * longer, meta_batch=2, non_finite="skip")
        search = Part("cma_es", {"population": 16, "fitness": "metric"})
        return (
            _arm("BLUR", small, task, descended),
            _arm("BLUR, CMA-ES", small, task, evolved, search),
            descents(_DIGITS, (32,), lifetimes),
        )

    return Experiment(
        name="images",
        title="Images of digits, from ten batches",
        metric="held-out accuracy, %",
        quick=arms(1, 30),
        full=arms(10, 100),
        seeds={"quick": 1, "full": 3},
        subject="BLUR",
        protocol=(
            "Test images of 8 x 8 after the last of 10 updates by batches of 64, hidden layer of "
            "32. " + _DESCENT
        ),
    )


def mnist() -> Experiment:
    """The paper's comparison of gradient and evolution."""
    task, large = ("labelled_batches", _MNIST), {"hidden": (512,)}
    reported = Reported(84.0, None, "section 4.4 and Figure 7, after 400 generations", "source")

    def evolved(population: int, generations: int, at_once: int) -> MetaArm:
        search = {"population": population, "fitness": "metric", "at_once": at_once}
        options = MetaOptions(
            steps=generations, meta_batch=1, non_finite="skip", test_lifetimes=_TESTS
        )
        return _arm("BLUR, CMA-ES", large, task, options, Part("cma_es", search), reported)

    def descended(steps: int, rate: float) -> MetaArm:
        options = MetaOptions(steps=steps, meta_batch=1, lr=rate, test_lifetimes=_TESTS, **_LIFE)
        return _arm("BLUR", large, task, options)

    descents = StudyArm(
        setting="SGD", study=_descent_study(_MNIST, (512,), _TESTS), higher_is_better=True
    )
    return Experiment(
        name="mnist",
        title="MNIST at 14 x 14, from 15 batches",
        metric="held-out accuracy, %",
        quick=(descended(200, 3e-3), evolved(24, 40, 8), descents),
        full=(descended(10_000, 5e-4), evolved(80, 400, 8), descents),
        seeds={"quick": 1, "full": 3},
        subject="BLUR",
        protocol=(
            "Test images after the last of 15 updates by batches of 128, hidden layer of 512. "
            "Fitness of CMA-ES is the accuracy: 24 genomes and 40 generations (quick), or 80 and "
            "400 as in the paper (full). By gradient: 200 meta-steps of one lifetime at 3e-3 "
            "(quick), or 10,000 at the paper's 5e-4 (full), of one genome and without its "
            "curriculum, which is `blur/curriculum`. " + _DESCENT
        ),
    )


def states() -> Experiment:
    """Neurons and synapses of more states."""

    def arms(counts: tuple[int, ...], task: Any, own: MetaOptions) -> tuple[MetaArm, ...]:
        return tuple(_arm(f"{n} states", {"states": n}, task, own) for n in counts)

    return Experiment(
        name="states",
        title="More states of neurons and synapses",
        metric="held-out accuracy, %",
        quick=arms((2, 4, 8), (TASK, {}), SHORT),
        full=arms((2, 4, 8, 16), ("labelled_batches", _MNIST), _long()),
        seeds={"quick": 1, "full": 3},
        protocol=(
            "quick: functions of the plane, 300 meta-steps; full: MNIST at 14 x 14. The paper "
            "shows a range of about 0.70 to 0.95 for 2 to 16 states as a plot."
        ),
    )


def ablation() -> Experiment:
    """Symmetric or not, one or many channels, three ways back, two genomes to begin with."""

    def arms(every: Any, task: Any, own: MetaOptions) -> tuple[MetaArm, ...]:
        return tuple(
            _arm(
                f"{'symmetric' if symmetric else 'asymmetric'}, {channels}, {backward}, {init}",
                {"symmetric": symmetric, "channels": channels, "backward": backward, "init": init},
                task,
                own,
            )
            for symmetric, channels, backward, init in every
        )

    few = (
        (True, "single", "additive", "backprop"),
        (True, "multi", "additive", "backprop"),
        (False, "multi", "additive", "backprop"),
        (False, "multi", "multiplicative", "backprop"),
        (False, "multi", "second_state", "backprop"),
        (True, "multi", "additive", "random"),
    )
    every = tuple(
        itertools.product(
            (True, False),
            ("single", "multi"),
            ("additive", "multiplicative", "second_state"),
            ("backprop", "random"),
        )
    )
    return Experiment(
        name="ablation",
        title="Symmetry, channels, backward update and initial genome",
        metric="held-out accuracy, %",
        quick=arms(few, (TASK, {}), SHORT),
        full=arms(every, ("labelled_batches", _OMNIGLOT), dataclasses.replace(_long(), species=8)),
        seeds={"quick": 1, "full": 1},
        protocol=(
            "quick: six of the 24 combinations on functions of the plane, 300 meta-steps; full: "
            "all on ten of Omniglot's characters a lifetime, best of eight genomes. The paper "
            "shows the result as a plot."
        ),
    )


def _long() -> MetaOptions:
    return dataclasses.replace(FULL, meta_batch=2, non_finite="skip")
