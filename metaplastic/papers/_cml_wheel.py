"""Contrastive meta-learning: agents on the wheel bandit, meta-trained on logs of other wheels."""

from dataclasses import dataclass
from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from ._cml_wheel_study import Online, Trained, plain_agent, regret_study
from .base import Experiment, StudyArm


@dataclass(frozen=True)
class _Size:
    """The scale of the experiment."""

    hidden: tuple[int, int]
    task: dict[str, Any]
    strength: tuple[float, str]
    """Of complex synapses, with its convention."""
    synapses: tuple[int, int, int, int]
    """Steps of the free and the nudged phase, lifetimes of a meta-step, meta-steps."""
    modulated: tuple[int, int, int, int]
    maml: tuple[int, int]
    """Lifetimes of a meta-step, meta-steps."""
    online: dict[str, Online]
    neural: dict[str, Any]
    """Options of NeuralLinear."""
    trials: int


_QUICK = _Size(
    hidden=(32, 32),
    task={"shots": 128},
    strength=(0.183, "half"),
    synapses=(100, 50, 8, 150),
    # Meta-steps at 1 / the processor's time of one, measured in turns on one core.
    modulated=(100, 50, 8, 130),
    maml=(8, 730),
    online={
        "synapses": Online("adam", 1e-3, 50, 128, 50),
        "modulated": Online("adam", 1e-2, 50, 128, 50),
        "maml": Online("sgd", 1e-2, 50, 128, 50),
    },
    neural={"hidden": (32, 32), "steps": 50, "batch": 128, "train_every": 50},
    trials=2000,
)
_FULL = _Size(
    hidden=(100, 100),
    task={"pool": 64},
    strength=(1000.0, "mean"),
    synapses=(250, 100, 8, 800),
    modulated=(1000, 100, 16, 400),
    maml=(32, 200),
    online={
        "synapses": Online("adam", 1e-4, 250, 512, 50),
        "modulated": Online("nesterov", 1e-4, 500, 512, 100),
        "maml": Online("sgd", 1e-3, 100, 512, 100),
    },
    neural={},
    trials=80_000,
)


def _meta_trained(size: _Size, *, quick: bool) -> tuple[Trained, ...]:
    (free, nudged, batch, steps) = size.synapses
    strength, convention = size.strength
    own: dict[str, Any] = {"hidden": size.hidden, "strength": strength, "convention": convention}
    task, rule = Part("wheel_bandit", size.task), Part("backprop")
    slow, far = (1e-3, 1e-2) if quick else (1e-4, 0.03)
    body = 1e-2 if quick else 0.03
    synapses = Trained(
        "CML, complex synapses",
        Design(
            learner=Part("complex_synapse", {**own, "rate": slow, "steps": free}),
            rule=rule,
            task=task,
            estimator=_nudge(0.3, nudged, far),
        ),
        MetaOptions(steps=steps, meta_batch=batch, lr=far, non_finite="skip"),
        size.online["synapses"],
    )
    (free, nudged, batch, steps) = size.modulated
    descent = {"optimiser": "adam", "rate": 1e-2} if quick else {"optimiser": "sgd", "rate": 3e-4}
    nudge = _nudge(10.0, nudged, 1e-4)
    if quick:
        # Adam's phases at this rate still move when they end: their common part must cancel.
        nudge = Part("contrastive", {"beta": 0.1, "steps": nudged, "rate": 2e-3})

    def modulating(name: str, **fields: Any) -> Trained:
        learner = {"hidden": size.hidden, "steps": free, **descent, **fields}
        return Trained(
            name,
            Design(learner=Part("modulated", learner), task=task, estimator=nudge),
            MetaOptions(steps=steps, meta_batch=batch, lr=body, non_finite="skip"),
            size.online["modulated"],
        )

    modulated = [modulating("CML, modulation")]
    if quick:
        modulated.append(modulating("CML, modulation drawn to its start", anchor=0.1))
    batch, steps = size.maml
    few = {"hidden": size.hidden, "strength": 0.0, "optimiser": "sgd", "rate": 0.01, "steps": 10}
    maml = Trained(
        "MAML",
        Design(learner=Part("complex_synapse", few), rule=rule, task=task),
        MetaOptions(
            steps=steps, meta_batch=batch, lr=1e-2 if quick else 0.1, clip=10.0, non_finite="skip"
        ),
        size.online["maml"],
    )
    return synapses, *modulated, maml


def _nudge(beta: float, steps: int, rate: float) -> Part:
    fields = {"contrast": "one_sided", "beta": beta, "steps": steps, "rate": rate}
    return Part("contrastive", fields)


def _arms(size: _Size, *, quick: bool) -> tuple[StudyArm, ...]:
    trained = tuple(
        StudyArm(
            setting=own.name,
            study=regret_study(own.agent, each=True, trials=size.trials),
            figure="wheel",
        )
        for own in _meta_trained(size, quick=quick)
    )
    others = {
        "NeuralLinear": plain_agent("NeuralLinear", **size.neural),
        "LinFullPost": plain_agent("LinFullPost"),
        "LinGreedy": plain_agent("LinGreedy"),
        "uniform": plain_agent("Uniform"),
    }
    return (
        *trained,
        *(
            StudyArm(
                setting=name,
                study=regret_study(make, each=False, trials=size.trials),
                figure="wheel",
            )
            for name, make in others.items()
        ),
    )


def wheel() -> Experiment:
    """Agents that go on learning on five wheels."""
    return Experiment(
        name="wheel",
        title="agents on the wheel bandit",
        metric="regret over the uniform policy's, %",
        quick=_arms(_QUICK, quick=True),
        full=_arms(_FULL, quick=False),
        seeds={"quick": 3, "full": 50},
        subject="CML, complex synapses",
        protocol=(
            "Cumulative expected regret over that of choosing uniformly, known in closed form. "
            "Full: settings of the released code, meta-trained from one seed for each seed that "
            "plays 80,000 trials; new batches are drawn without replacement in meta-training. "
            "Quick is not a setting of the paper: two layers of 32, logs of 128 contexts, "
            "meta-steps of 8 wheels (150 of complex synapses, 130 of modulation and 730 of MAML, "
            "which take the processor the same time), 2,000 trials; modulation takes symmetric "
            "contrasts, and is also drawn to its start, which is then learned. Its rates were "
            "chosen on other seeds."
        ),
    )
