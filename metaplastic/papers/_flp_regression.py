"""Feedback + local plasticity: several sine curves in one lifetime."""

from dataclasses import dataclass, field
from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from .base import Experiment, MetaArm

_MIXED = ("FLP", "OML as published", "OML", "MAML, first order", "MAML, a rate a synapse")
"""Rows of the mixed order at the quick scale; without plasticity there is no order."""


@dataclass(frozen=True)
class Size:
    """The scale of an experiment: the task, the network, and how it is meta-trained."""

    task: dict[str, Any]
    hidden: tuple[int, ...]
    frozen: int
    """Layers below the plastic ones in the OML baselines."""
    plasticity_rate: float
    gradient_lr: float
    """Meta-learning rate of the first-order baselines."""
    options: dict[str, Any]
    gradient_grid: tuple[float, ...] = ()
    """Rates within the lifetime that the baselines of one rate choose from in continual order;
    none: 0.003, that of the published code."""
    chosen: dict[str, float] = field(default_factory=dict)
    """The rates that they chose there, with which they go into the mixed order, by row."""
    tops: tuple[int, ...] = ()
    """Numbers of last layers that a network with fewer plastic layers has."""
    alone_grids: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Factors of all changes, and so of the plasticity's own rate, that plasticity of the output
    layer alone chooses from; by the kind of output."""


QUICK = Size(
    task={"functions": 3, "batches": 8, "shots": 16, "queries": 16},
    hidden=(48, 48),
    frozen=1,
    plasticity_rate=6e-6,
    gradient_lr=1e-3,
    options={
        "steps": 4000,
        "lr": 1e-3,
        "clip": 2.0,
        "clip_by": ("model",),
        "skip_above": 50.0,
        "non_finite": "skip",
    },
    gradient_grid=(0.003, 0.01, 0.03),
    chosen={"OML as published": 0.01, "OML": 0.03, "MAML, first order": 0.003},
    tops=(1, 2),
    alone_grids={"clamp": (0.15, 0.35, 0.5), "feedback": (0.5, 1.0, 2.0)},
)
FULL = Size(
    task={"pool": 400},
    hidden=(300, 300, 300, 300, 300, 900, 300, 300),
    frozen=6,
    tops=(1, 3, 6),
    plasticity_rate=1e-8,
    gradient_lr=1e-4,
    options={
        "steps": 20000,
        "meta_batch": 1,
        "lr": 1e-4,
        "non_finite": "skip",
        "test_lifetimes": 50,
    },
)


def flp(
    setting: str,
    size: Size,
    order: str,
    *,
    freeze: tuple[str, ...] = (),
    frozen: int = 0,
    **fields: Any,
) -> MetaArm:
    """Feedback + local plasticity, or a part of it."""
    rates = {"state.plasticity": size.plasticity_rate, "state.strength": 1e-4}
    alone, output = frozen == len(size.hidden), fields.get("output", "clamp")
    if alone and output == "clamp":  # feedback reaches no layer, so that its strength is none
        del rates["state.strength"]
    still = ("state", *rates) if "state" in freeze else freeze
    held = [path for path in rates if path not in still]
    return MetaArm(
        setting=setting,
        design=_design(
            size, order, "flp", {"rate": 1.0, "frozen": frozen}, plasticity=0.0, **fields
        ),
        options=MetaOptions(
            **size.options, freeze=freeze, group=tuple(f"{path}={rates[path]:g}" for path in held)
        ),
        rates=size.alone_grids.get(output, ()) if alone else (),
    )


def _gradient(
    setting: str, size: Size, order: str, *, first_order: bool, **learner: Any
) -> MetaArm:
    """Gradient descent within the lifetime."""
    options = dict(size.options)
    if first_order:
        options["lr"] = size.gradient_lr
    learned = ("rate=0.0001",) if "rates" in learner else ()
    mixed = order == "iid" and setting in size.chosen
    fields = {"rate": size.chosen[setting] if mixed else 0.003, **learner}
    estimator = Part("first_order" if first_order else "unrolled")
    design = _design(size, order, "backprop", fields, estimator=estimator)
    return MetaArm(
        setting=setting,
        design=design,
        options=MetaOptions(**options, group=learned),
        rates=() if learned or mixed else size.gradient_grid,
    )


def _design(
    size: Size,
    order: str,
    rule: str,
    learner: dict[str, Any],
    *,
    estimator: Part | None = None,
    **fields: Any,
) -> Design:
    own = {"hidden": size.hidden, "initialiser": "he_normal", **learner}
    return Design(
        learner=Part("online", own),
        rule=Part(rule, fields),
        task=Part("sinusoid_sequence", {**size.task, "order": order}),
        estimator=estimator or Part("unrolled"),
    )


def arms(size: Size, order: str) -> tuple[MetaArm, ...]:
    """All rows of an order."""
    top, released = len(size.hidden), "feedback"
    oml = {"first_order": True, "frozen": size.frozen}
    return (
        flp("no plasticity", size, order, freeze=("state",)),
        flp("FLP", size, order),
        flp("FLP, output as in the published code", size, order, output=released),
        flp("FLP, output layer alone", size, order, frozen=top),
        flp("FLP, output layer alone, as published", size, order, frozen=top, output=released),
        flp("FLP, random feedback", size, order, freeze=("state.feedback",)),
        flp("FLP, no feedback", size, order, freeze=("state.strength",), strength=0.0),
        flp("FLP, targets as feedback", size, order, signal="target"),
        _gradient("OML as published", size, order, **oml, start="fresh_head"),
        _gradient("OML, first order", size, order, **oml),
        _gradient("OML", size, order, first_order=False, frozen=size.frozen),
        _gradient("MAML, first order", size, order, first_order=True),
        _gradient("MAML, a rate a synapse", size, order, first_order=False, rates="synapse"),
    )


def regression(order: str) -> Experiment:
    """Ten curves (full), three (quick), learned one after the other or mixed."""
    return Experiment(
        name=f"regression_{order}",
        title=f"sine curves in one lifetime, {order}",
        metric="mean squared error",
        quick=tuple(
            arm for arm in arms(QUICK, order) if order == "continual" or arm.setting in _MIXED
        ),
        full=arms(FULL, order),
        seeds={"quick": 3, "full": 1},
        subject="FLP",
        protocol=(
            "Quick is not a setting of the paper: 3 curves, 8 batches of 16 points each, network "
            "4-48-48-1, 4,000 meta-steps of 4 lifetimes with new curves; the best answer that "
            "does not learn has an error of 3.13. Full: sizes and rates of the published code, "
            "400 fixed curves, one run instead of 20 restarts on the same episodes. The output is "
            "clamped to the error; the published code rectifies it. OML as published has "
            "first-order meta-gradients and a head drawn anew in every lifetime; the others keep "
            "theirs. Quick: in continual order baselines take the best of three rates by the end "
            "of meta-training on seed 0, and keep it in mixed order; so does plasticity of the "
            "output layer alone. FLP's meta-rate of plasticity was chosen from 3e-6 and 6e-6 on "
            "seeds 100 and 101. Parts of FLP are compared in continual order alone."
        ),
    )
