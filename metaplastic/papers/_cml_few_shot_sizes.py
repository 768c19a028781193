"""Contrastive meta-learning: how large each experiment on few examples is, and quoted numbers."""

from dataclasses import dataclass, field
from typing import Any

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
_FILTERS: dict[str, Any] = {"model": "conv4", "norm": "batch", "filters": (64, 64, 64, 64)}
_TINY: dict[str, Any] = {"model": "conv4", "norm": "batch", "filters": (16, 16, 16)}

LONGER = "CML, longer nudged phases"
CUT = "truncated back-propagation"
"""Arms that are named neither after the paper's algorithm nor after another one."""


@dataclass(frozen=True)
class Size:
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


QUICK = Size(
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
        LONGER: 180,
        "MAML": 340,
        "FOMAML": 760,
        "Reptile": 1150,
        "iMAML": 255,
        CUT: 240,
    },
    maml=(0.1, 5),
    descent_rate=3e-3,
)
"""Of Omniglot, 5 ways and 1 shot."""


def _omniglot(ways: int, shots: int, strength: float, **fields: Any) -> Size:
    own: dict[str, Any] = {"meta_batch": 32, "nudged": 100, "beta": 0.1, "maml": (0.4, 1), **fields}
    return Size(
        task={**_OMNIGLOT, "ways": ways, "shots": shots},
        network=_FILTERS,
        free=200,
        strength=strength,
        rate=0.01,
        meta_steps=3750,
        **own,
    )


FULL = {
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
"""Of Omniglot, by ways and shots."""
IMAGENET = Size(
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

QUOTED: dict[Any, dict[str, tuple[float, float]]] = {
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
"""Accuracy and its interval as others quote them: a copy of Table 2 of Rajeswaran et al. (2019),
and a public benchmark."""
