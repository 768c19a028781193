"""Contrastive meta-learning: classes of images from a few examples each."""

from dataclasses import replace
from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from ._cml_few_shot_sizes import CUT, FULL, IMAGENET, LONGER, QUICK, QUOTED, Size
from .base import Experiment, MetaArm, Reported

_Parts = dict[str, tuple[str, dict[str, Any], Part, float]]
"""By the arm's name: learner with its options, estimator, rate of the meta-optimiser."""


def _settles(size: Size) -> dict[str, Any]:
    phase = {"optimiser": "nesterov", "rate": size.phase_rate, "steps": size.free}
    return {**size.network, "strength": size.strength, **phase}


def _contrasts(size: Size) -> _Parts:
    found: _Parts = {}
    sizes = {"CML": size}
    if size.longer:
        sizes[LONGER] = replace(size, **size.longer)
    for name, own in sizes.items():
        nudge = Part("contrastive", {"beta": own.beta, "steps": own.nudged, **own.nudge})
        found[name] = ("complex_synapse", _settles(own), nudge, own.rate)
    return found


def _arms(size: Size, quoted: dict[str, tuple[float, float]]) -> tuple[MetaArm, ...]:
    rate, steps = size.maml
    descends = {**size.network, "strength": 0.0, "optimiser": "sgd", "rate": rate, "steps": steps}
    descent = {**size.network, "strength": 2.0, "optimiser": "sgd", "rate": 0.1, "steps": 16}
    returns = {**_settles(size), "strength": 0.0}
    if size.reptile_rate is not None:
        returns["rate"] = size.reptile_rate
    cut = Part("truncated", {"steps": max(size.free // 5, 3)})
    parts: _Parts = {
        **_contrasts(size),
        "MAML": ("complex_synapse", descends, Part("unrolled"), size.descent_rate),
        "FOMAML": ("complex_synapse", descends, Part("first_order"), size.descent_rate),
        "Reptile": ("complex_synapse", returns, Part("reptile"), 1e-3),
        "iMAML": ("proximal", descent, Part("implicit", {"steps": 5}), 1e-3),
        CUT: ("complex_synapse", _settles(size), cut, size.rate),
    }
    return tuple(
        MetaArm(
            setting=setting,
            design=Design(
                learner=Part(name, fields),
                rule=Part("backprop"),
                task=Part("few_shot", size.task),
                estimator=estimator,
            ),
            options=_options(size, setting, rate),
            reported=_reported(setting, quoted),
        )
        for setting, (name, fields, estimator, rate) in parts.items()
    )


def _options(size: Size, setting: str, rate: float) -> MetaOptions:
    falling: dict[str, Any] = {}
    if setting == "CML" and size.milestones:
        falling = {"schedule": "step", "milestones": size.milestones, "decay": 0.5}
    return MetaOptions(
        steps=size.meta_steps[setting] if isinstance(size.meta_steps, dict) else size.meta_steps,
        meta_batch=size.meta_batch,
        lr=rate,
        non_finite="skip",
        test_lifetimes=size.test_lifetimes,
        **falling,
    )


def _reported(setting: str, quoted: dict[str, tuple[float, float]]) -> Reported | None:
    if setting not in quoted:
        return None
    value, spread = quoted[setting]
    return Reported(value, spread, "as quoted by others, 95 % interval", "secondary")


_SHARED = (
    "All weights settle by Nesterov's momentum and are drawn to consolidated ones; normalisation "
    "takes the statistics of the present batch, so that answers are transductive. Numbers of the "
    "reference algorithms were published under more meta-updates than ours have here, and iMAML "
    "descends the gradient; the paper's own numbers are not quoted. The released code tests an "
    "average of the last weights, on Omniglot the best of all epochs by test classes; ours are "
    "those after the last meta-update. "
)


def few_shot() -> tuple[Experiment, ...]:
    """Omniglot in four settings (one of them quick too), and mini-ImageNet."""
    small = (
        "Quick is not a setting of the paper: 14x14, three convolutions of 16 filters, no "
        "rotations, 4 lifetimes a meta-update, 5 queries a class, phases of 6 steps; each "
        "algorithm has as many meta-updates as take about as long. Nudged phases are of one step, "
        "with which the contrast is, but for its scale, the slope of the queries at the end of the "
        "free phase, or of three, which cost nearly three times as much. Steps and rates of CML, "
        "and rates of FOMAML, were chosen from another seed on other classes of meta-training; "
        "neither the meta-batch nor beta was. "
    )
    omniglot = tuple(
        Experiment(
            name=f"omniglot_{ways}_way_{shots}_shot",
            title=f"Omniglot, {ways} ways, {shots} shots",
            quick=_arms(QUICK, {}) if (ways, shots) == (5, 1) else (),
            full=_arms(size, QUOTED[ways, shots]),
            seeds={"quick": 3, "full": 3},
            timed=True,
            subject="CML",
            protocol=_SHARED + (small if (ways, shots) == (5, 1) else ""),
        )
        for (ways, shots), size in FULL.items()
    )
    imagenet = Experiment(
        name="mini_imagenet_5_way_1_shot",
        title="mini-ImageNet, 5 ways, 1 shot",
        full=_arms(IMAGENET, QUOTED["mini_imagenet"]),
        seeds={"quick": 1, "full": 3},
        subject="CML",
        protocol=_SHARED + "Momentum starts afresh in every phase.",
    )
    return (*omniglot, imagenet)
