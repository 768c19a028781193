"""Contrastive meta-learning: how wrong its meta-gradient is, where the truth is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..report.records import RunFolder
from ..train.fit import Reporter
from .base import Experiment, Found, Study, StudyArm

_CONTRASTS = {
    "one-sided": "one_sided",
    "symmetric": "symmetric",
    "control phase": "control",
    "three points": "three_point",
}
_REFERENCES = {"conjugate gradients": "cg", "Neumann series": "neumann", "T1-T2": "t1t2"}


def _contrast(name: Any, betas: Sequence[float], steps: Sequence[int]) -> Study:
    """The smallest error over beta, for phases of so many steps."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        from ..analysis.beta_study import beta_study

        reporter.compiling(f"{name}, {len(steps)} solvers")
        found = beta_study(name, betas=betas, steps=steps, seeds=seeds)
        error, beta = found.best()
        data = {
            "beta": found.beta,
            "steps": found.steps,
            "error": np.median(found.error, 0),
            "distance": np.median(found.distance, 0),
            "bound": np.median(found.bound, 0) if name == "one_sided" else None,
            "best_beta": np.median(beta, 0),
        }
        rows = {_named(own): error[:, i] for i, own in enumerate(steps)}
        return Found(rows, {key: _listed(own) for key, own in data.items()})

    return study


def _reference(method: Any, steps: Sequence[int]) -> Study:
    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        from ..analysis.beta_study import reference_errors

        reporter.compiling(f"{method}, {len(steps)} solvers")
        error = reference_errors(method, steps=steps, seeds=seeds)
        rows = {_named(own): error[:, i] for i, own in enumerate(steps)}
        return Found(rows, {"steps": list(steps), "reference": np.median(error, 0).tolist()})

    return study


def _named(steps: int) -> str:
    return f"{steps} steps" if steps else "exact phases"


def _listed(value: Any) -> Any:
    return None if value is None else np.asarray(value).tolist()


def _arms(betas: Sequence[float], steps: Sequence[int]) -> tuple[StudyArm, ...]:
    contrasts = (
        StudyArm(setting=setting, study=_contrast(name, betas, steps), figure="beta")
        for setting, name in _CONTRASTS.items()
    )
    references = (
        StudyArm(setting=setting, study=_reference(name, steps), figure="beta")
        for setting, name in _REFERENCES.items()
    )
    return (*contrasts, *references)


def beta() -> Experiment:
    """The error of the estimate against beta, for solvers of different accuracy."""

    def betas(decade: int) -> tuple[float, ...]:
        return tuple(10.0 ** (exponent / decade) for exponent in range(-5 * decade, decade + 1))

    return Experiment(
        name="beta",
        title="error of the meta-gradient on quadratics, at the best beta",
        metric="relative error",
        quick=_arms(betas(4), (10, 20, 40)),
        full=_arms(betas(8), (5, 10, 20, 40, 80, 160, 0)),
        seeds={"quick": 3, "full": 10},
        protocol=(
            "Not the paper's problem, whose data are not in its code: pairs of quadratics in 20 "
            "dimensions whose meta-gradient with respect to consolidated weights and strengths is "
            "known exactly. All phases are gradient descent of so many steps, in float64; numbers "
            "are the smallest error over beta from 1e-5 to 10. References have the same free phase "
            "and as many steps or terms; T1-T2 has none."
        ),
    )
