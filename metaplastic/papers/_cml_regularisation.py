"""Contrastive meta-learning: a decay strength for every weight, learned on validation data."""

from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from .base import Experiment, MetaArm

_MNIST: dict[str, Any] = {"hidden": (256,) * 5, "activation": "tanh", "batch": 500}
_LENET: dict[str, Any] = {
    "model": "lenet",
    "filters": (6, 16, 120),
    "norm": "batch",
    "batch": 500,
}
_SMALL: dict[str, Any] = {"hidden": (64,), "activation": "tanh", "batch": 50}


def _arm(
    setting: str,
    task: dict[str, Any],
    network: dict[str, Any],
    phase: tuple[str, float, int],
    estimator: Part,
    *,
    rate: float,
    strength: float,
    steps: int,
    **fields: Any,
) -> MetaArm:
    """`phase`: optimiser, rate and steps of the free phase."""
    optimiser, own_rate, count = phase
    learner = {
        **network,
        **{"optimiser": optimiser, "rate": own_rate, "steps": count},
        **{"strength": strength, "convention": "sum", "log": False},
        **fields,
    }
    return MetaArm(
        setting=setting,
        design=Design(
            learner=Part("weight_decay", learner),
            rule=Part("backprop"),
            task=Part("regularisation", task),
            estimator=estimator,
        ),
        options=MetaOptions(
            steps=steps, meta_batch=1, lr=rate, non_finite="skip", record_every=max(steps // 50, 1)
        ),
    )


def _nudge(beta: float, rate: float, steps: int) -> Part:
    fields = {"contrast": "one_sided", "beta": beta, "rate": rate, "steps": steps}
    return Part("contrastive", fields)


def _implicit(method: str, steps: int = 1, scale: float = 1.0) -> Part:
    return Part("implicit", {"method": method, "steps": steps, "scale": scale})


_T1T2, _CG, _CUT = _implicit("t1t2"), _implicit("cg", 100), Part("truncated", {"steps": 200})
_LABELS = ("CML", "conjugate gradients", "Neumann series", "T1-T2", "truncated back-propagation")


def _mnist_full() -> tuple[MetaArm, ...]:
    own: dict[str, Any] = {"task": {"data": "mnist"}, "network": _MNIST, "steps": 100}
    slow = ("nesterov", 1e-3, 2000)
    settings: tuple[Any, ...] = (
        (("adam", 3e-4, 2000), _nudge(3.0, 3e-4, 200), 1e-4, 1e-5),
        (("adam", 1e-4, 2000), _CG, 3e-4, 1e-4),
        (slow, _implicit("neumann", 200, 1e-3), 0.01, 1e-4),
        (("nesterov", 1e-2, 2000), _T1T2, 1e-4, 1e-5),
        (slow, _CUT, 1e-3, 1e-4),
    )
    return tuple(
        _arm(label, phase=phase, estimator=estimator, rate=rate, strength=strength, **own)
        for label, (phase, estimator, rate, strength) in zip(_LABELS, settings, strict=True)
    )


def _cifar10_full() -> tuple[MetaArm, ...]:
    own: dict[str, Any] = {"task": {"data": "cifar10"}, "network": _LENET, "steps": 100}
    settings: tuple[Any, ...] = (
        (("nesterov", 3e-4, 5000), _nudge(10.0, 1e-4, 200), 0.03, 0.1),
        (("nesterov", 1e-3, 2000), _CG, 1e-3, 1e-5),
        (("nesterov", 1e-3, 2000), _implicit("neumann", 500, 3e-4), 3e-3, 1e-5),
        (("nesterov", 1e-3, 3000), _T1T2, 1e-3, 1e-4),
        (("nesterov", 1e-3, 5000), _CUT, 1e-3, 1e-4),
    )
    return tuple(
        _arm(label, phase=phase, estimator=estimator, rate=rate, strength=strength, **own)
        for label, (phase, estimator, rate, strength) in zip(_LABELS, settings, strict=True)
    )


def _mnist_quick() -> tuple[MetaArm, ...]:
    phase = ("adam", 1e-3, 150)
    own: dict[str, Any] = {"task": {"data": "mnist", "examples": 1000}, "network": _SMALL}
    own |= {"phase": phase, "rate": 1e-3, "strength": 1e-4, "steps": 60}
    nudge = Part("contrastive", {"beta": 1.0, "steps": 50})
    estimators = (
        nudge,
        _implicit("cg", 20),
        _implicit("neumann", 50, 1e-2),
        _T1T2,
        Part("truncated", {"steps": 50}),
    )
    every = tuple(
        _arm(label, estimator=estimator, **own)
        for label, estimator in zip(_LABELS, estimators, strict=True)
    )
    return (*every, _arm("CML, one strength for all", estimator=nudge, strengths="global", **own))


_SHARED = (
    "One training set in two halves; after the last meta-step the network is trained on both, and "
    "tested. Strengths start alike, may not become negative, and belong to every weight, bias and "
    "gain. Implicit baselines differentiate the loss that was minimised, on all examples; "
    "truncated back-propagation is judged by the validation half and leaves the start as it is, "
    "where the released code takes the test set and learns the start too. "
)


def regularisation() -> tuple[Experiment, ...]:
    """MNIST (both scales) and CIFAR-10 (full)."""
    return (
        Experiment(
            name="regularisation_mnist",
            title="decay strengths of a multi-layer perceptron on MNIST",
            quick=_mnist_quick(),
            full=_mnist_full(),
            seeds={"quick": 1, "full": 5},
            protocol=_SHARED
            + "Full: settings of the released code; it has none for truncated back-propagation on "
            "this set, which has those of CIFAR-10 with 2,000 steps. Quick is not a setting of the "
            "paper: 784-64-10, 1,000 examples, 60 meta-steps, phases of 150 and 50 steps of Adam.",
        ),
        Experiment(
            name="regularisation_cifar10",
            title="decay strengths of LeNet on CIFAR-10",
            full=_cifar10_full(),
            seeds={"quick": 1, "full": 5},
            protocol=_SHARED
            + "Settings of the released code. Batches of both phases are the same, which those of "
            "the code are not; batch normalisation takes the statistics of the present batch, and "
            "the layer of 84 units is linear and has none.",
        ),
    )
