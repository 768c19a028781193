"""Contrastive meta-learning: curves from a few points."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..train.design import Design, Part
from ..train.meta_fit import MetaOutcome
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaTrainer
from .base import Experiment, MetaArm

_BACKPROP = Part("backprop")
_RANDOM = "modulation of a random body"
"""Nothing of it is meta-learned: the same gains, biases and head over a body as drawn."""
_TESTS, _LAST = 20, 4
"""Tests of an arm that is tested on its way, and those that its number is the mean of."""


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
    learned: dict[str, Any] = field(default_factory=dict)
    """What complex synapses whose strengths are learned have of their own."""
    learned_nudge: dict[str, Any] = field(default_factory=dict)
    """Of their nudged phase."""
    proximal: dict[str, Any] = field(default_factory=dict)
    """Of iMAML's phase, where not that of complex synapses."""
    descent_rate: float = 1e-3
    """Of the meta-optimiser of those baselines."""
    meta_steps: dict[str, int] = field(default_factory=dict)
    """Of an arm, where not those of `options`: so many that all arms take as long."""
    tested: int | None = None
    """Curves of each test on the way; only one test, after the last meta-step, if not told."""


_QUICK = _Size(
    task={},
    network={"hidden": (40, 40), "activation": "tanh"},
    options={"meta_batch": 8, "non_finite": "skip"},
    phase={"optimiser": "nesterov", "rate": 0.01},
    steps=20,
    strength=(1.0, "half"),
    nudge={"beta": 0.1, "measure": False},
    meta_rate=3e-3,
    modulated={"optimiser": "nesterov", "rate": 0.01, "steps": 40},
    nudged={"beta": 0.1, "measure": False},
    # Its linear system needs a minimum, at which shorter phases do not arrive.
    proximal={"rate": 3e-3, "steps": 100},
    descent={"optimiser": "sgd", "rate": 0.02, "steps": 10},
    descent_rate=3e-3,
    # At 1 / the time of a meta-step, measured one after the other on one core.
    meta_steps={
        "CML, complex synapses": 2500,
        "CML, strengths learned": 2400,
        "CML, modulation": 2400,
        _RANDOM: 1,
        "iMAML": 1250,
        "truncated back-propagation": 1400,
        "MAML": 3800,
        "FOMAML": 14000,
        "Reptile": 7300,
    },
    tested=1000,
)
_FULL = _Size(
    task={"highest": 0.5},
    network={"hidden": (40, 40)},
    options={"steps": 1000, "meta_batch": 25, "non_finite": "skip"},
    phase={"rate": 0.01},
    steps=500,
    strength=(1.0, "mean"),
    nudge={"beta": 3.0},
    learned={"steps": 1000},
    learned_nudge={"beta": 1.0, "rate": 3e-4, "steps": 1000},
    meta_rate=0.03,
    modulated={"optimiser": "sgd", "rate": 1e-3, "steps": 1000, "batch": 1},
    nudged={"beta": 1.0, "rate": 1e-4, "steps": 100},
    descent={"optimiser": "sgd", "rate": 0.01, "steps": 10},
    meta_steps={_RANDOM: 1},
)


def _arm(
    setting: str,
    size: _Size,
    learner: Part,
    estimator: Part,
    rate: float,
    **options: Any,
) -> MetaArm:
    steps = size.meta_steps.get(setting)
    own = {**size.options, **({} if steps is None else {"steps": steps})}
    rule = None if learner.name in ("modulated", "eprop") else _BACKPROP
    task = Part("sinusoid", size.task)
    made = MetaOptions(**own, lr=rate, clip=10.0, **options)
    if size.tested is not None:
        made.test_lifetimes = size.tested
        made.test_every = max(made.steps // (_TESTS * made.chunk), 1) * made.chunk
    return MetaArm(
        setting=setting,
        design=Design(learner=learner, rule=rule, task=task, estimator=estimator),
        options=made,
        measure=None if size.tested is None else _late,
        higher_is_better=False,
    )


def _late(trainer: MetaTrainer, outcome: MetaOutcome) -> np.ndarray:
    """Mean of the last tests, one a seed: at a constant rate a single end scatters."""
    del trainer
    tests = [own["test_metric"] for own in outcome.records if own["step"] and "test_metric" in own]
    return np.mean(tests[-_LAST:], 0)


def _arms(size: _Size) -> tuple[MetaArm, ...]:
    network, rate = size.network, size.meta_rate
    strength, convention = size.strength
    own: dict[str, Any] = {"strength": strength, "convention": convention}
    own |= {**size.phase, "steps": size.steps}
    synapses = Part("complex_synapse", {**network, **own})
    learned = Part("complex_synapse", {**network, **own, **size.learned, "strengths": "synapse"})
    modulated = Part("modulated", {**network, **size.modulated})
    nudge = Part("contrastive", size.nudge)
    longer = Part("contrastive", {**size.nudge, **size.learned_nudge})
    descent = Part("complex_synapse", {**network, "strength": 0.0, **size.descent})
    cut = Part("truncated", {"steps": size.steps // 2 if size.steps < 100 else size.steps // 5})
    imaml = Part("implicit", {"steps": 5, "damping": 1.0})
    taught = Part("contrastive", size.nudged)
    return (
        _arm("CML, complex synapses", size, synapses, nudge, rate),
        _arm("CML, strengths learned", size, learned, longer, rate),
        _arm("CML, modulation", size, modulated, taught, rate),
        _arm(_RANDOM, size, modulated, taught, rate, freeze=("body",)),
        _arm("iMAML", size, Part("proximal", {**network, **own, **size.proximal}), imaml, rate),
        _arm("truncated back-propagation", size, synapses, cut, rate),
        _arm("MAML", size, descent, Part("unrolled"), size.descent_rate),
        _arm("FOMAML", size, descent, Part("first_order"), size.descent_rate),
        _arm("Reptile", size, synapses, Part("reptile"), 1e-3),
    )


def sinusoid() -> Experiment:
    """One sine curve from ten points."""
    return Experiment(
        name="sinusoid",
        title="one sine curve from ten points, network 1-40-40-1",
        metric="mean squared error",
        timed=True,
        subject="CML, complex synapses",
        quick=_arms(_QUICK),
        full=_arms(_FULL),
        seeds={"quick": 3, "full": 5},
        protocol=(
            "Full: settings of the released code, with amplitudes from 0.1 to 0.5 and its summed "
            "loss turned into the mean of ten points; contrasts are symmetric. Quick is not a "
            "setting of the paper: tanh, amplitudes up to 5, meta-steps of 8 curves, phases of 20 "
            "and 10 steps of Nesterov's momentum, of 40 and 20 for modulation. Every algorithm has "
            "as many meta-steps as take about as long (seconds are of meta-training all seeds, "
            "compilation and tests left out), and its number is the mean of four tests in the last "
            "fifth of them, of 1,000 curves each, the same for all. iMAML solves by 5 conjugate "
            "gradients, damped by 1, in quick after 100 steps at a rate of 3e-3 (it does not learn "
            "after 20); truncated back-propagation sees half of the same phase (full: a fifth); "
            "Reptile moves towards its end. MAML and FOMAML take 10 steps of gradient descent. "
            "Rates and steps of CML and MAML were chosen by a few short runs from another seed, on "
            "curves of their own, CML's strength after a look at these; the others share them "
            "(iMAML's phase was that of an earlier form of the experiment)."
        ),
    )
