"""Contrastive meta-learning: classes of images from a few examples each."""

from dataclasses import dataclass, field, replace
from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from .base import Experiment, MetaArm, Reported

_OMNIGLOT: dict[str, Any] = {
    "data": "omniglot",
    "split": "background",
    "resize": 28,
    "invert": True,
    "rotations": "classes",
    "moments": 1,
    "queries": 15,
}
_MINI_IMAGENET: dict[str, Any] = {
    "data": "mini_imagenet",
    "split": "official",
    "resize": 84,
    "standardise": True,
    "moments": 1,
    "queries": 15,
}


_LONGER = "CML, longer nudged phases"
_CUT = "truncated back-propagation"


@dataclass(frozen=True)
class _Size:
    """The scale of an experiment: images, network, and how it is meta-trained."""

    task: dict[str, Any]
    network: dict[str, Any]
    meta_batch: int
    free: int
    nudged: int
    strength: float
    beta: float
    rate: float
    """Of the meta-optimiser."""
    meta_steps: int | dict[str, int]
    """Of all arms, or of each: so many that all take as long."""
    maml: tuple[float, int]
    """Rate and steps of the baselines that learn an initialisation."""
    descent_rate: float = 1e-3
    """Of the meta-optimiser of those baselines."""
    milestones: tuple[int, ...] = ()
    phase_rate: float = 0.01
    """Of learners that settle by Nesterov's momentum."""
    nudge: dict[str, Any] = field(default_factory=dict)
    """Further options of the contrast."""
    longer: dict[str, Any] = field(default_factory=dict)
    """What a second row of CML, whose nudged phases are longer, has of its own; {}: no such row."""
    reptile_rate: float | None = None
    """Of its phases; that of CML's where it is not given."""
    test_lifetimes: int = 300


_FILTERS: dict[str, Any] = {"model": "conv4", "norm": "batch", "filters": (64, 64, 64, 64)}
_TINY: dict[str, Any] = {"model": "conv4", "norm": "batch", "filters": (16, 16, 16)}
_QUICK = _Size(
    task={**_OMNIGLOT, "resize": 14, "rotations": "none", "ways": 5, "shots": 1, "queries": 5},
    network=_TINY,
    meta_batch=4,
    free=6,
    nudged=1,
    phase_rate=0.2,
    reptile_rate=0.1,
    nudge={"measure": False},
    longer={"nudged": 3, "phase_rate": 0.15, "rate": 0.01},
    strength=0.5,
    beta=0.1,
    rate=5e-3,
    # At 1 / the processor's time of a meta-step, measured in turns on one core.
    meta_steps={
        "CML": 625,
        _LONGER: 180,
        "MAML": 340,
        "FOMAML": 760,
        "Reptile": 1150,
        "iMAML": 255,
        _CUT: 240,
    },
    maml=(0.1, 5),
    descent_rate=3e-3,
)


def _omniglot(ways: int, shots: int, strength: float, **fields: Any) -> _Size:
    own: dict[str, Any] = {"meta_batch": 32, "nudged": 100, "beta": 0.1, "maml": (0.4, 1), **fields}
    return _Size(
        task={**_OMNIGLOT, "ways": ways, "shots": shots},
        network=_FILTERS,
        free=200,
        strength=strength,
        rate=0.01,
        meta_steps=3750,
        **own,
    )


_FULL = {
    (5, 1): _omniglot(5, 1, 0.5),
    (5, 5): _omniglot(5, 5, 0.1),
    (20, 1): _omniglot(
        20,
        1,
        0.5,
        meta_batch=16,
        beta=0.03,
        maml=(0.1, 5),
        milestones=tuple(range(625, 3750, 625)),
    ),
    (20, 5): _omniglot(20, 5, 0.25, meta_batch=16, nudged=200, maml=(0.1, 5)),
}
_IMAGENET = _Size(
    task={**_MINI_IMAGENET, "ways": 5, "shots": 1},
    network={**_FILTERS, "filters": (32, 32, 32, 32)},
    meta_batch=4,
    free=100,
    nudged=75,
    strength=0.5,
    beta=0.01,
    rate=1e-3,
    meta_steps=25_000,
    maml=(0.01, 5),
)
# As quoted by others: a copy of Table 2 of Rajeswaran et al. (2019), and a public benchmark.
_QUOTED: dict[Any, dict[str, tuple[float, float]]] = {
    (5, 1): {
        "MAML": (98.7, 0.4),
        "FOMAML": (98.3, 0.5),
        "Reptile": (97.68, 0.04),
        "iMAML": (99.16, 0.35),
    },
    (5, 5): {
        "MAML": (99.9, 0.1),
        "FOMAML": (99.2, 0.2),
        "Reptile": (99.48, 0.06),
        "iMAML": (99.67, 0.12),
    },
    (20, 1): {
        "MAML": (95.8, 0.3),
        "FOMAML": (89.4, 0.5),
        "Reptile": (89.43, 0.14),
        "iMAML": (94.46, 0.42),
    },
    (20, 5): {
        "MAML": (98.9, 0.2),
        "FOMAML": (97.9, 0.1),
        "Reptile": (97.12, 0.32),
        "iMAML": (98.69, 0.1),
    },
    "mini_imagenet": {"MAML": (48.70, 1.84), "Reptile": (47.07, 0.26)},
}


_Parts = dict[str, tuple[str, dict[str, Any], Part, float]]
"""By the arm's name: learner with its options, estimator, rate of the meta-optimiser."""


def _settles(size: _Size) -> dict[str, Any]:
    phase = {"optimiser": "nesterov", "rate": size.phase_rate, "steps": size.free}
    return {**size.network, "strength": size.strength, **phase}


def _contrasts(size: _Size) -> _Parts:
    found: _Parts = {}
    sizes = {"CML": size}
    if size.longer:
        sizes[_LONGER] = replace(size, **size.longer)
    for name, own in sizes.items():
        nudge = Part("contrastive", {"beta": own.beta, "steps": own.nudged, **own.nudge})
        found[name] = ("complex_synapse", _settles(own), nudge, own.rate)
    return found


def _arms(size: _Size, quoted: dict[str, tuple[float, float]]) -> tuple[MetaArm, ...]:
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
        _CUT: ("complex_synapse", _settles(size), cut, size.rate),
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


def _options(size: _Size, setting: str, rate: float) -> MetaOptions:
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
            quick=_arms(_QUICK, {}) if (ways, shots) == (5, 1) else (),
            full=_arms(size, _QUOTED[ways, shots]),
            seeds={"quick": 3, "full": 3},
            timed=True,
            subject="CML",
            protocol=_SHARED + (small if (ways, shots) == (5, 1) else ""),
        )
        for (ways, shots), size in _FULL.items()
    )
    imagenet = Experiment(
        name="mini_imagenet_5_way_1_shot",
        title="mini-ImageNet, 5 ways, 1 shot",
        full=_arms(_IMAGENET, _QUOTED["mini_imagenet"]),
        seeds={"quick": 1, "full": 3},
        subject="CML",
        protocol=_SHARED + "Momentum starts afresh in every phase.",
    )
    return (*omniglot, imagenet)
