"""Contrastive meta-learning: a decay strength for every weight, learned on validation data."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..report.records import RunFolder
from ..train.design import Design, Part
from ..train.fit import Reporter
from ..train.meta_fit import MetaOutcome
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaReplica, MetaTrainer
from .base import Experiment, Found, MetaArm, StudyArm

_MNIST: dict[str, Any] = {"hidden": (256,) * 5, "activation": "tanh", "batch": 500}
_LENET: dict[str, Any] = {
    "model": "lenet",
    "filters": (6, 16, 120),
    "norm": "batch",
    "batch": 500,
}
_SMALL: dict[str, Any] = {"hidden": (32,), "activation": "tanh"}
_GRID = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
_VALIDATION = "validation loss"


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
    judged: bool = False,
    **fields: Any,
) -> MetaArm:
    """`phase`: optimiser, rate and steps of the free phase; `judged`: with a row for the loss of
    the validation half."""
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
        metric=_VALIDATION if judged else None,
        higher_is_better=False if judged else None,
        measure=_validation if judged else None,
        both=judged,
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


def _validation(trainer: MetaTrainer, outcome: MetaOutcome) -> np.ndarray:
    """Loss of the validation half after the last meta-step, one a seed."""
    return _loss(trainer, outcome.state)


def _loss(trainer: MetaTrainer, state: MetaReplica) -> np.ndarray:
    # A meta-step tells the loss that it is about to lower.
    metrics = trainer.chunk(state, trainer.options.steps - 1, length=1)[1]
    return np.asarray(metrics.loss[:, 0], np.float64)


def _grid(task: dict[str, Any], network: dict[str, Any], phase: Any) -> StudyArm:
    """One strength for all weights: the best of five by the validation half."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        reporter.compiling(f"{len(_GRID)} strengths")
        own = {"strength": 1.0, "steps": 1, "rate": 0.1, "strengths": "global"}
        arm = _arm("", task, network, phase, _T1T2, log=False, **own)
        trainer = MetaTrainer(*arm.design.make(), arm.options)
        one = trainer.initial(seeds)
        losses, tests = [], []
        for strength in _GRID:
            # Stored as lambda of half the sum.
            stored = jnp.full_like(one.learner.strength, 2 * strength)
            state = eqx.tree_at(lambda own: own.learner.strength, one, stored)
            losses.append(_loss(trainer, state))
            tests.append(np.asarray(trainer.test(state).metric, np.float64).mean(-1))
        best = np.argmin(losses, 0)
        each = np.arange(len(seeds))
        data = {"strengths": list(_GRID), "loss": np.mean(losses, 1).tolist()}
        rows = {"by validation": np.stack(losses)[best, each], "test": np.stack(tests)[best, each]}
        return Found(rows, data, {"by validation": _VALIDATION})

    return StudyArm(setting="one strength for all, best of five", study=study)


def _mnist_quick() -> tuple[MetaArm | StudyArm, ...]:
    estimators = (
        Part("contrastive", {"beta": 0.1, "steps": 100}),
        _implicit("cg", 20),
        _implicit("neumann", 50, 1e-1),
        _T1T2,
        Part("truncated", {"steps": 50}),
    )
    task = {"data": "mnist", "examples": 2000}
    # At 1 / the processor's time of a meta-step, measured in turns on one core.
    steps = (30, 75, 62, 84, 24)
    return _quick(task, _SMALL, ("adam", 3e-3, 200), estimators, steps=steps, rate=0.1)


def _cifar10_quick() -> tuple[MetaArm | StudyArm, ...]:
    estimators = (
        Part("contrastive", {"beta": 0.1, "steps": 20, "measure": False}),
        _implicit("cg", 5),
        _implicit("neumann", 10, 1e-1),
        _T1T2,
        Part("truncated", {"steps": 10}),
    )
    task, network = {"data": "cifar10", "examples": 1000}, {**_LENET, "batch": 100}
    return _quick(task, network, ("adam", 3e-3, 60), estimators, steps=(15,) * 5, rate=0.2)


def _quick(
    task: dict[str, Any],
    network: dict[str, Any],
    phase: tuple[str, float, int],
    estimators: tuple[Part, ...],
    *,
    steps: tuple[int, ...],
    rate: float,
) -> tuple[MetaArm | StudyArm, ...]:
    """Every estimator from the same start, CML with one strength for all, and the grid.

    `steps`: meta-steps of each estimator.
    """
    own: dict[str, Any] = {"task": task, "network": network, "phase": phase}
    grid = _grid(**own)
    own |= {"rate": rate, "strength": 1e-3, "log": True, "judged": True}
    every = tuple(
        _arm(label, estimator=estimator, steps=count, **own)
        for label, estimator, count in zip(_LABELS, estimators, steps, strict=True)
    )
    single = {"estimator": estimators[0], "steps": steps[0], "strengths": "global"}
    alone = _arm("CML, one strength for all", **single, **own)
    return (*every, alone, grid)


_SHARED = (
    "One training set in two halves; after the last meta-step the network is trained on both, and "
    "tested. Strengths start alike, may not become negative, and belong to every weight, bias and "
    "gain. Implicit baselines differentiate the loss that was minimised, on all examples; "
    "truncated back-propagation is judged by the validation half and leaves the start as it is, "
    "where the released code takes the test set and learns the start too. "
)


def regularisation() -> tuple[Experiment, ...]:
    """MNIST and CIFAR-10."""
    return (
        Experiment(
            name="regularisation_mnist",
            title="decay strengths of a multi-layer perceptron on MNIST",
            quick=_mnist_quick(),
            full=_mnist_full(),
            seeds={"quick": 3, "full": 5},
            subject="CML",
            protocol=_SHARED
            + "Full: settings of the released code; it has none for truncated back-propagation on "
            "this set, which has those of CIFAR-10 with 2,000 steps. Quick is not a setting of the "
            "paper: 784-32-10, 2,000 examples, phases of 200 and 100 steps of Adam, meta-steps on "
            "logarithms of strengths: 30 of CML, 75, 62 and 84 of conjugate gradients, Neumann "
            "series and T1-T2, 24 of truncated back-propagation, which take the processor the "
            "same time; the grid is of one strength for all, 0 or 1e-4 to 0.1 by decades.",
        ),
        Experiment(
            name="regularisation_cifar10",
            title="decay strengths of LeNet on CIFAR-10",
            quick=_cifar10_quick(),
            full=_cifar10_full(),
            seeds={"quick": 1, "full": 5},
            subject="CML",
            protocol=_SHARED
            + "Full: settings of the released code. Batches of both phases are the same, which "
            "those of the code are not; batch normalisation takes the statistics of the present "
            "batch, and the layer of 84 units is linear and has none. Quick is not a setting of "
            "the paper: 1,000 examples in batches of 100, 15 meta-steps on logarithms of "
            "strengths, phases of 60 and 20 steps of Adam; the grid is that of MNIST.",
        ),
    )
