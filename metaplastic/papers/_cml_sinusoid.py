"""Contrastive meta-learning: curves from a few points, with analogue and with spiking neurons."""

from dataclasses import dataclass
from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from .base import Experiment, MetaArm

_BACKPROP = Part("backprop")


@dataclass(frozen=True)
class _Size:
    """The scale of the experiment with analogue neurons."""

    task: dict[str, Any]
    network: dict[str, Any]
    options: dict[str, Any]
    phase: dict[str, Any]
    """Optimiser and rate of complex synapses."""
    steps: int
    """Of the free phase of complex synapses; a nudged one has half as many, if not told."""
    strength: tuple[float, str]
    """lambda, with its convention."""
    nudge: dict[str, Any]
    """Of the nudged phase of complex synapses."""
    meta_rate: float
    """Of learners that settle."""
    modulated: dict[str, Any]
    nudged: dict[str, Any]
    """Of the modulated network's nudged phase."""
    descent: dict[str, Any]
    """The few steps of the baselines that learn an initialisation."""
    rates: tuple[float, ...] = ()
    """Rates of those steps to choose from; none: that of `descent`."""
    more: int | None = None
    """Meta-steps of the baselines whose lifetimes are short, so that all take about as long."""


_QUICK = _Size(
    task={},
    network={"hidden": (40, 40), "activation": "tanh"},
    options={"steps": 300, "meta_batch": 8, "non_finite": "skip"},
    phase={"optimiser": "nesterov", "rate": 3e-3},
    steps=100,
    strength=(0.5, "half"),
    nudge={"beta": 0.1},
    meta_rate=3e-3,
    modulated={"optimiser": "adam", "rate": 0.01, "steps": 100},
    nudged={"beta": 0.1, "rate": 2e-3},
    descent={"optimiser": "sgd", "rate": 2e-3, "steps": 10},
    rates=(2e-3, 8e-3, 2e-2),
    more=2000,
)
_FULL = _Size(
    task={"highest": 0.5},
    network={"hidden": (40, 40)},
    options={"steps": 1000, "meta_batch": 25, "non_finite": "skip"},
    phase={"rate": 0.01},
    steps=500,
    strength=(1.0, "mean"),
    nudge={"beta": 3.0},
    meta_rate=0.03,
    modulated={"optimiser": "sgd", "rate": 1e-3, "steps": 1000, "batch": 1},
    nudged={"beta": 1.0, "rate": 1e-4, "steps": 100},
    descent={"optimiser": "sgd", "rate": 0.01, "steps": 10},
)


def _arm(
    setting: str,
    size: _Size,
    learner: Part,
    estimator: Part,
    rate: float,
    rates: tuple[float, ...] = (),
    meta_steps: int | None = None,
) -> MetaArm:
    rule = None if learner.name in ("modulated", "eprop") else _BACKPROP
    task = Part("sinusoid", size.task)
    return MetaArm(
        setting=setting,
        design=Design(learner=learner, rule=rule, task=task, estimator=estimator),
        options=MetaOptions(
            **{**size.options, "steps": meta_steps or size.options["steps"]}, lr=rate, clip=10.0
        ),
        rates=rates,
    )


def _arms(size: _Size) -> tuple[MetaArm, ...]:
    network = size.network
    strength, convention = size.strength
    own: dict[str, Any] = {"strength": strength, "convention": convention}
    own |= {**size.phase, "steps": size.steps}
    synapses = Part("complex_synapse", {**network, **own})
    learned = Part("complex_synapse", {**network, **own, "strengths": "synapse"})
    modulated = Part("modulated", {**network, **size.modulated})
    nudge = Part("contrastive", size.nudge)
    descent = Part("complex_synapse", {**network, "strength": 0.0, **size.descent})
    cut = Part("truncated", {"steps": size.steps // 5})
    imaml = Part("implicit", {"steps": 5, "damping": 1.0})
    return (
        _arm("CML, complex synapses", size, synapses, nudge, size.meta_rate),
        _arm("CML, strengths learned", size, learned, nudge, size.meta_rate),
        _arm(
            *("CML, modulation", size, modulated, Part("contrastive", size.nudged)), size.meta_rate
        ),
        _arm("iMAML", size, Part("proximal", {**network, **own}), imaml, size.meta_rate),
        _arm("truncated back-propagation", size, synapses, cut, size.meta_rate),
        _arm("MAML", size, descent, Part("unrolled"), 1e-3, size.rates, size.more),
        _arm("FOMAML", size, descent, Part("first_order"), 1e-3, size.rates, size.more),
        _arm("Reptile", size, synapses, Part("reptile"), 1e-3),
    )


def sinusoid() -> Experiment:
    """One sine curve from ten points."""
    return Experiment(
        name="sinusoid",
        title="one sine curve from ten points, network 1-40-40-1",
        metric="mean squared error",
        quick=_arms(_QUICK),
        full=_arms(_FULL),
        seeds={"quick": 3, "full": 5},
        protocol=(
            "Full: settings of the released code, with amplitudes from 0.1 to 0.5 and its summed "
            "loss turned into the mean of ten points; contrasts are symmetric. Quick is not a "
            "setting of the paper: tanh, amplitudes up to 5, 300 meta-steps of 8 curves, phases of "
            "100 and 50 steps of Nesterov's momentum, of Adam for modulation. iMAML solves by 5 "
            "conjugate gradients, damped by 1; truncated back-propagation sees a fifth of the same "
            "phase; Reptile moves towards its end. MAML and FOMAML take 10 steps of gradient "
            "descent, at the best of three rates, for 2,000 meta-steps, so that they have about as "
            "much time. The settings of complex synapses were chosen by "
            "trying a few on this experiment, which iMAML, truncated back-propagation and Reptile "
            "share."
        ),
    )


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
        protocol=(
            "First the meta-gradient, then the rule within the lifetime. Full: 100 neurons and the "
            "settings of the released code, without its choice of the best of 1,000 models by "
            "validation; e-prop's traces are in time with its inputs, and both nudged phases are "
            "nudged (in the code, that with negative beta is not). Quick is not a setting of the "
            "paper: 40 neurons, 40 channels, phases of 50 and 20 steps, 100 meta-steps of 5 curves."
        ),
    )
