"""PEPITA: error-driven input modulation (Dellaferrera & Kreiman, ICML 2022), Table 1."""

from collections.abc import Callable
from typing import Any

from ..train.options import TrainOptions
from .base import Arm, Experiment, Paper, Reported

_TABLE = "Dellaferrera & Kreiman (2022), Table 1"
_LABELS = {"BP": "backprop", "FA": "feedback_alignment", "DRTP": "drtp", "PEPITA": "pepita"}


def _reported(value: float, std: float, method: str) -> Reported:
    # The rows of FA and DRTP are quoted from memory and never enter a verdict.
    checked = method in ("BP", "PEPITA")
    return Reported(value, std, _TABLE, "secondary" if checked else "memory")


def _quick() -> tuple[Arm, ...]:
    """Seven ways of assigning credit between the two ends of the scale, on 8x8 digits."""

    def arm(setting: str, rule: str, lr: float, **fields: Any) -> Arm:
        options = TrainOptions(
            data="digits",
            hidden=(16,),
            activation="tanh" if "tanh" in setting else None,
            epochs=40,
            average_last=3,
        )
        return Arm(setting=setting, rule=rule, fields=fields, options=options, rates=(lr,))

    return (
        arm("frozen hidden", "shallow", 0.05),
        arm("frozen hidden (tanh)", "shallow", 0.05),
        arm("DRTP (tanh)", "drtp", 0.05),
        arm("PEPITA", "pepita", 0.05, feedback_scale=0.2),
        arm("direct feedback alignment", "direct_feedback_alignment", 0.05),
        arm("feedback alignment", "feedback_alignment", 0.05),
        arm("weight mirror", "weight_mirror", 0.02),
        arm("Kolen-Pollack", "kolen_pollack", 0.05),
        arm("sign symmetry", "sign_symmetry", 0.05),
        arm("backpropagation", "backprop", 0.05),
    )


def _conv_quick() -> tuple[Arm, ...]:
    """Table 1's convolutional network, small: conv 5x5 x4 - pool - linear on 8x8 digits."""

    def arm(setting: str, rule: str, lr: float, **fields: Any) -> Arm:
        options = TrainOptions(
            data="digits",
            model="pepita_conv",
            filters=(4,),
            activation="tanh" if "tanh" in setting else None,
            epochs=30,
            batch_size=50,
            average_last=3,
            alignment=False,
        )
        return Arm(setting=setting, rule=rule, fields=fields, options=options, rates=(lr,))

    return (
        arm("frozen kernels", "shallow", 1.0),
        arm("frozen kernels (tanh)", "shallow", 1.0),
        arm("DRTP (tanh)", "drtp", 0.01),
        arm("PEPITA", "pepita", 0.1, feedback_scale=0.2),
        arm("FA", "feedback_alignment", 0.03),
        arm("BP", "backprop", 0.03),
    )


def _frozen(options: Callable[[str], TrainOptions], rates: tuple[float, ...]) -> list[Arm]:
    """The controls: one for the networks of ReLU, one for that of DRTP."""
    return [
        Arm(setting=setting, rule="shallow", options=options(method), rates=rates)
        for setting, method in {"frozen hidden": "BP", "frozen hidden (tanh)": "DRTP"}.items()
    ]


def _dense(data: str, lr: float, reported: dict[str, tuple[float, float]]) -> Experiment:
    """784- or 3072-1024-10, 100 epochs, dropout 0.1, rate x0.1 after epochs 60 and 90."""

    def options(method: str) -> TrainOptions:
        return TrainOptions(
            data=data,
            hidden=(1024,),
            dropout=0.1,
            activation="tanh" if method == "DRTP" else None,
            epochs=100,
            batch_size=64,
            schedule="step",
        )

    arms = [
        Arm(
            setting=method,
            rule=rule,
            options=options(method),
            rates=(lr,) if method == "PEPITA" else (0.003, 0.01, 0.03, 0.1),
            reported=_reported(*reported[method], method),
        )
        for method, rule in _LABELS.items()
    ]
    arms += _frozen(options, (0.01, 0.1))
    return Experiment(
        name=f"fc_{data}",
        title=f"Fully connected, 1,024 hidden units, {data}",
        full=tuple(arms),
        protocol=(
            "Accuracy after the last epoch; the paper's scripts watch the test set while they "
            "train. PEPITA at the published rate; the others at the best of a small grid on a "
            "tenth of the training set, 20 epochs, one seed. DRTP with tanh: with ReLU its "
            "constant projection lets units drift."
        ),
    )


def _conv(data: str, reported: dict[str, tuple[float, float]]) -> Experiment:
    """conv 5x5 x32 - pool - linear, 100 epochs, batch 50, no dropout, x0.1 after 10, 30, 60."""

    def options(method: str) -> TrainOptions:
        return TrainOptions(
            data=data,
            model="pepita_conv",
            activation="tanh" if method == "DRTP" else None,
            epochs=100,
            batch_size=50,
            schedule="step",
            milestones=(10.0, 30.0, 60.0),
        )

    arms = [
        Arm(
            setting=method,
            rule=rule,
            options=options(method),
            rates=(0.01,) if method == "PEPITA" else (0.003, 0.01, 0.03),
            reported=_reported(*reported[method], method),
        )
        for method, rule in _LABELS.items()
    ]
    arms += _frozen(options, (0.003, 0.01))
    return Experiment(
        name=f"conv_{data}",
        title=f"Convolutional, 32 filters of 5x5, {data}",
        full=tuple(arms),
        protocol=(
            "Kernel updates are means over batch and positions, as the equations say; the "
            "released script divides by the batch a second time and cannot run as published. "
            "No dropout: the released convolutional models ignore their masks."
        ),
    )


def _cells(bp: Any, fa: Any, drtp: Any, pepita: Any) -> dict[str, tuple[float, float]]:
    return {"BP": bp, "FA": fa, "DRTP": drtp, "PEPITA": pepita}


PAPER = Paper(
    title="Error-driven Input Modulation: Solving the Credit Assignment Problem without a "
    "Backward Pass",
    authors="Giorgia Dellaferrera, Gabriel Kreiman",
    year=2022,
    link="https://arxiv.org/abs/2201.11665",
    bibtex="""@inproceedings{dellaferrera2022error,
  title={Error-driven input modulation: solving the credit assignment problem without a backward
         pass},
  author={Dellaferrera, Giorgia and Kreiman, Gabriel},
  booktitle={International Conference on Machine Learning}, pages={4937--4955}, year={2022}}""",
    experiments=(
        Experiment(
            name="digits",
            title="Seven ways of assigning credit, 64-16-10 on 8x8 digits",
            quick=_quick(),
            protocol=(
                "Mean test accuracy of the last three of 40 epochs. The hidden layer has 16 "
                "units, so that frozen random features do not do as well as learned ones. Not a "
                "setting of the paper. DRTP has units of tanh, and the frozen ones beside them."
            ),
        ),
        Experiment(
            name="conv_digits",
            title="Convolutional, 4 filters of 5x5, on 8x8 digits",
            quick=_conv_quick(),
            protocol=(
                "Mean test accuracy of the last three of 30 epochs. Not a setting of the paper. "
                "The rates were chosen beforehand, on a tenth of the training set: 0.01 to 1, five "
                "of them for each rule. PEPITA divides a kernel's update by the number of "
                "positions, so that kernels stay near where they started: expect no more of it "
                "here than of frozen ones."
            ),
        ),
        _dense(
            "mnist",
            0.1,
            _cells((98.63, 0.03), (98.42, 0.07), (95.10, 0.10), (98.01, 0.09)),
        ),
        _dense(
            "cifar10",
            0.01,
            _cells((55.27, 0.32), (53.82, 0.24), (45.89, 0.16), (52.57, 0.36)),
        ),
        _dense(
            "cifar100",
            0.01,
            _cells((27.58, 0.09), (24.61, 0.28), (18.32, 0.18), (24.91, 0.22)),
        ),
        _conv("mnist", _cells((98.86, 0.04), (98.50, 0.06), (97.32, 0.25), (98.29, 0.13))),
        _conv("cifar10", _cells((64.99, 0.32), (57.51, 0.57), (50.53, 0.81), (56.33, 1.35))),
        _conv("cifar100", _cells((34.20, 0.20), (27.15, 0.53), (20.14, 0.68), (27.56, 0.60))),
    ),
)
