"""Contrastive meta-learning: curves from a few points, told in spikes."""

from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from .base import Experiment, MetaArm


def _spiking_arm(
    setting: str,
    task: dict[str, Any],
    learner: dict[str, Any],
    estimator: Part,
    meta_batch: int,
    rate: float,
    steps: int,
    **options: Any,
) -> MetaArm:
    return MetaArm(
        setting=setting,
        design=Design(
            learner=Part("eprop", learner),
            task=Part("spiking_sinusoid", task),
            estimator=estimator,
        ),
        options=MetaOptions(
            steps=steps, meta_batch=meta_batch, lr=rate, non_finite="skip", **options
        ),
    )


def _spiking_arms(quick: bool) -> tuple[MetaArm, ...]:
    task: dict[str, Any] = {"channels": 40, "width": 1e-3} if quick else {}
    size: dict[str, Any] = {"hidden": 40} if quick else {"hidden": 100}
    free, nudged, few = (50, 20, 5) if quick else (500, 100, 10)
    batch, small, steps = (5, 5, 100) if quick else (25, 10, 1000)
    asked: dict[str, Any] = {"test_lifetimes": 50} if quick else {"test_lifetimes": 200}
    # Rates of gradient descent are ten times those of the code, which sums over ten points.
    quiet = {**size, "strength": 0.0, "optimiser": "nesterov"}
    local = {**quiet, "activity": 0.01, "activity_target": 0.05}
    through = {"slope": "bptt", "activity": 1e-6, "activity_target": 0.1, "rate": 3e-3}
    adam = {**size, "optimiser": "adam", "rate": 1e-3, "steps": free, "activity": 1e-5}
    nudge = Part("contrastive", {"beta": 3.0, "rate": 3e-3, "steps": nudged})
    cut = Part("truncated", {"steps": max(free // 5, 1)})
    return (
        _spiking_arm("CML + e-prop", task, adam, nudge, batch, 3e-3, steps, **asked),
        _spiking_arm(
            "BPTT + BPTT",
            *(task, {**quiet, **through, "steps": few}, Part("unrolled"), small, 3e-4, steps),
            **asked,
        ),
        _spiking_arm(
            "BPTT + e-prop",
            task,
            {**local, "rate": 1e-4, "steps": few, "batch": 1},
            *(Part("unrolled"), small, 3e-4, steps),
            **asked,
        ),
        _spiking_arm(
            "TBPTT + e-prop",
            *(task, {**local, "rate": 1e-3, "steps": free}, cut, small, 3e-4, steps),
            **asked,
        ),
    )


def spiking() -> Experiment:
    """One sine curve from ten points, told in spikes."""
    return Experiment(
        name="spiking",
        title="one sine curve from ten points, recurrent network of spiking neurons",
        metric="mean squared error",
        quick=_spiking_arms(quick=True),
        full=_spiking_arms(quick=False),
        seeds={"quick": 1, "full": 5},
        subject="CML + e-prop",
        protocol=(
            "First the meta-gradient, then the rule within the lifetime. Full: 100 neurons and the "
            "settings of the released code, without its choice of the best of 1,000 models by "
            "validation; e-prop's traces are in time with its inputs, and both nudged phases are "
            "nudged (in the code, that with negative beta is not). Quick is not a setting of the "
            "paper: 40 neurons, 40 channels, phases of 50 and 20 steps, 100 meta-steps of 5 curves."
        ),
    )
