"""Benchmark of feedback alignment (Sanfiz & Akrout, 2021): LeNet and ResNet-20."""

from typing import Any

from ..train.options import TrainOptions
from .base import Arm, Experiment, Paper, Reported

_SOURCE = "Sanfiz & Akrout (2021), benchmark tables of the code's documentation"
_RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "BP": ("backprop", {}),
    "FA": ("feedback_alignment", {"feedback_init": "xavier_uniform"}),
    "DFA": (
        "direct_feedback_alignment",
        {"feedback": "kernel", "feedback_init": "xavier_uniform"},
    ),
    "uSF": ("sign_symmetry", {"mode": "uniform", "feedback_init": "xavier_uniform"}),
    "brSF": ("sign_symmetry", {"mode": "batchwise", "feedback_init": "xavier_uniform"}),
    "frSF": ("sign_symmetry", {"mode": "fixed", "feedback_init": "xavier_uniform"}),
}
_GRID = (0.0001, 0.001, 0.01, 0.1)


def _arms(
    options: TrainOptions, rates: dict[str, tuple[float, ...]], errors: dict[str, float] | None
) -> tuple[Arm, ...]:
    arms = [
        Arm(
            setting=method,
            rule=rule,
            fields=fields,
            options=options,
            rates=rates.get(method, rates["BP"]),
            reported=None if errors is None else Reported(errors[method], None, _SOURCE, "source"),
        )
        for method, (rule, fields) in _RULES.items()
    ]
    frozen = Arm(setting="frozen hidden", rule="shallow", options=options, rates=rates["BP"])
    return (*arms, frozen)


def _errors(bp: float, fa: float, dfa: float, usf: float, brsf: float, frsf: float) -> dict:
    return {"BP": bp, "FA": fa, "DFA": dfa, "uSF": usf, "brSF": brsf, "frSF": frsf}


def _lenet_grey(data: str, errors: dict[str, float]) -> Experiment:
    options = TrainOptions(
        data=data,
        model="lenet",
        resize=32,
        input_range="standardised",
        epochs=100,
        batch_size=64,
        weight_decay=1e-3,
        schedule="step",
        milestones=(50.0, 75.0),
        checkpoint_every=1,
    )
    return Experiment(
        name=f"lenet_{data}",
        title=f"LeNet (6-16-120), {data}",
        metric="test error, %",
        full=_arms(options, {"BP": _GRID}, errors),
        seeds={"quick": 1, "full": 1},
        protocol=(
            "The published rates of these runs are not known: each rule takes the best of four "
            "on a tenth of the training set. The published runs select their epoch on the test "
            "set; ours report the last."
        ),
    )


def _cifar(
    model: str, optimiser: Any, rates: dict[str, float], errors: dict[str, float]
) -> Experiment:
    options = TrainOptions(
        data="cifar10",
        model=model,
        initialiser="xavier_uniform",
        input_range="standardised",
        augment=True,
        optimiser=optimiser,
        epochs=250,
        batch_size=128,
        weight_decay=1e-4,
        schedule="step",
        milestones=(100.0, 150.0, 200.0),
        validation=5000.0,
        select="best",
        checkpoint_every=1,
    )
    short = "sgd" if optimiser == "momentum" else "adam"
    return Experiment(
        name=f"{model}_cifar10_{short}",
        title=f"{model}, CIFAR-10, {short}",
        metric="test error, %",
        full=_arms(options, {k: (v,) for k, v in rates.items()}, errors),
        seeds={"quick": 1, "full": 1},
        protocol=(
            "As in the published code: 45,000 training and 5,000 validation images, the epoch of "
            "the best validation accuracy, published learning rates, crops (padding 4) and flips, "
            "all weights and feedback weights Xavier uniform, kernel-shaped feedback of DFA, "
            "running averages of batch normalisation in evaluation."
        ),
    )


def _quick() -> tuple[Experiment, ...]:
    # FA and DFA need smaller rates than the others, and more epochs than would do for those.
    lenet_rates = {
        "BP": (0.003, 0.01, 0.03),
        "FA": (0.001, 0.003, 0.01),
        "DFA": (0.0003, 0.001, 0.003),
    }
    resnet_rates = {"BP": (0.02,), "DFA": (0.0005,)}
    lenet = TrainOptions(
        data="digits",
        model="lenet",
        resize=32,
        input_range="standardised",
        epochs=10,
        batch_size=64,
        weight_decay=1e-3,
        schedule="step",
        milestones=(5.0, 7.5),
    )
    resnet = TrainOptions(
        data="digits",
        model="resnet20",
        resize=16,
        input_range="standardised",
        epochs=4,
        batch_size=64,
    )
    protocol = (
        "Not a setting of the paper: 8x8 digits, enlarged, a few epochs, one seed; LeNet's decay "
        "and milestones are the paper's, compressed. Grids, and that LeNet has milestones "
        "(feedback alignment falls back to chance without), were chosen after a look at these "
        "test errors, so the rows demonstrate, no more."
    )
    return tuple(
        Experiment(
            name=f"{options.model}_digits",
            title=f"{options.model} on enlarged digits",
            metric="test error, %",
            quick=_arms(options, rates, None),
            seeds={"quick": 1, "full": 1},
            protocol=protocol,
        )
        for options, rates in ((lenet, lenet_rates), (resnet, resnet_rates))
    )


PAPER = Paper(
    title="Benchmarking the Accuracy and Robustness of Feedback Alignment Algorithms",
    authors="Albert Jiménez Sanfiz, Mohamed Akrout",
    year=2021,
    link="https://arxiv.org/abs/2108.13446",
    bibtex="""@article{sanfiz2021benchmarking,
  title={Benchmarking the accuracy and robustness of feedback alignment algorithms},
  author={Sanfiz, Albert Jim{\\'e}nez and Akrout, Mohamed},
  journal={arXiv preprint arXiv:2108.13446}, year={2021}}""",
    experiments=(
        *_quick(),
        _lenet_grey("mnist", _errors(0.91, 1.70, 1.61, 0.94, 0.91, 0.97)),
        _lenet_grey("fashion_mnist", _errors(9.20, 13.06, 12.81, 9.69, 10.02, 9.61)),
        _cifar(
            "lenet",
            "momentum",
            {"BP": 0.1, "FA": 0.001, "DFA": 0.0001},
            _errors(14.23, 46.69, 54.21, 16.22, 16.02, 16.86),
        ),
        _cifar(
            "lenet",
            "adam",
            {"BP": 0.001, "FA": 0.0001, "DFA": 0.0001},
            _errors(15.92, 40.67, 37.59, 16.34, 17.08, 16.83),
        ),
        _cifar(
            "resnet20",
            "momentum",
            {"BP": 0.1, "DFA": 0.001},
            _errors(8.63, 32.16, 45.94, 10.05, 11.02, 11.20),
        ),
        _cifar(
            "resnet20", "adam", {"BP": 0.001}, _errors(10.01, 29.59, 32.16, 10.59, 11.08, 11.22)
        ),
    ),
)
