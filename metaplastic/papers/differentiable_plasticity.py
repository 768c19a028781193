"""Differentiable plasticity (Miconi, Clune & Stanley, 2018), and modulated (Miconi et al., 2019).

Patterns, images and Omniglot: "Differentiable plasticity: training plastic neural networks with
backpropagation", ICML. What modulation adds: "Backpropamine", ICLR.
"""

from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from .base import Experiment, MetaArm, Paper, Reported


def _arm(
    setting: str,
    learner: str,
    task: str,
    fields: dict[str, Any],
    asked: dict[str, Any],
    options: MetaOptions,
    reported: Reported | None = None,
) -> MetaArm:
    design = Design(learner=Part(learner, fields), task=Part(task, asked))
    return MetaArm(setting=setting, design=design, options=options, reported=reported)


def _recurrent(
    setting: str, task: str, asked: dict[str, Any], options: MetaOptions, **fields: Any
) -> MetaArm:
    return _arm(setting, "hebbian_recurrent", task, fields, asked, options)


def _patterns() -> Experiment:
    """50 bits, where a plastic network of 51 units meets networks without plasticity."""
    quick = MetaOptions(steps=3000, meta_batch=8, lr=1e-3, test_lifetimes=1000)
    full = MetaOptions(steps=1_000_000, meta_batch=1, lr=3e-4, test_lifetimes=1000)
    slow = MetaOptions(steps=1_000_000, meta_batch=1, lr=3e-5, test_lifetimes=1000)
    task = ("binary_patterns", {"bits": 50})

    def gated(cells: int, options: MetaOptions) -> MetaArm:
        fields = {"hidden": cells, "entry": "clamp"}
        return _arm(f"LSTM, {cells:,} cells", "lstm", task[0], fields, task[1], options)

    return Experiment(
        name="binary_patterns",
        title="Two patterns of 50 bits, completed from half",
        metric="bit error, %",
        seeds={"quick": 3, "full": 3},
        quick=(
            _recurrent("plastic, 51 units", *task, quick, zero_diagonal=True),
            _recurrent("not plastic, 51 units", *task, quick, plastic=False),
            gated(51, quick),
            gated(200, quick),
        ),
        full=(
            _recurrent("plastic, 51 units", *task, full, zero_diagonal=True),
            _recurrent("not plastic, 2,051 units", *task, slow, plastic=False, hidden=2000),
            gated(2000, slow),
        ),
        protocol=(
            "Wrong signs among all bits at the last moment, on fresh lifetimes; half of the bits "
            "are given, so that guessing the others is wrong in 25 %, and whoever remembers one of "
            "the two patterns is wrong in 12.5 %. quick: 3,000 meta-steps of 8 lifetimes at 1e-3; "
            "full: a million of one lifetime at 3e-4 (plastic) and 3e-5. The paper compares "
            "learning curves, without a number to put beside ours. In an LSTM the inputs (times "
            "100) clamp 50 of the cells through gates with pinned biases, and the activities of "
            "these cells are the answer. Unlike in the released code, the gates of these cells "
            "receive no input but the pinned one: there other inputs can shut them."
        ),
    )


def _large_patterns() -> Experiment:
    """Many bits, in the paper's three variants."""
    shown = {"patterns": 5, "cycles": 2, "on": 6, "off": 4}
    small = ("binary_patterns", {"bits": 100, **shown})
    large = ("binary_patterns", {"bits": 1000, **shown})
    chance = ("binary_patterns", {"bits": 1000, **shown, "balanced": False})
    quick = MetaOptions(steps=400, meta_batch=1, lr=3e-3)
    full = MetaOptions(steps=2000, meta_batch=1, lr=3e-4)
    fixed = {"bias": False, "learn_eta": False}
    return Experiment(
        name="large_patterns",
        title="Five patterns, completed from half",
        metric="bit error, %",
        seeds={"quick": 3, "full": 3},
        quick=(
            _recurrent("100 bits, plastic", *small, quick, zero_diagonal=True),
            _recurrent("100 bits, not plastic", *small, quick, plastic=False),
        ),
        full=(
            _recurrent("full: 1,000 bits, plastic", *large, full, zero_diagonal=True),
            _recurrent("simple: 1,000 bits, plastic", *large, full),
            _recurrent("simplest: 1,000 independent bits, plastic", *chance, full, **fixed),
            _recurrent("1,000 bits, not plastic", *large, full, plastic=False),
        ),
        protocol=(
            "Wrong signs among all bits at the last of 106 moments, on fresh lifetimes; guessing "
            "is wrong in 25 %. One lifetime a meta-step: 400 at 3e-3 (quick), 2,000 at 3e-4 (full)."
        ),
    )


def _images() -> Experiment:
    """Halves of images from memory."""
    digits = {"data": "digits", "cycles": 1, "on": 5, "off": 1}
    quick = MetaOptions(steps=1000, meta_batch=4, lr=1e-3)
    full = MetaOptions(steps=100_000, meta_batch=1, lr=1e-4)

    def arms(asked: dict[str, Any], options: MetaOptions) -> tuple[MetaArm, ...]:
        return tuple(
            _recurrent(
                setting, "image_patterns", asked, options, entry="clamp", zero_diagonal=own, **rest
            )
            for setting, own, rest in (
                ("plastic", True, {}),
                ("not plastic", False, {"plastic": False}),
            )
        )

    return Experiment(
        name="images",
        title="Three images, one completed from its upper or lower half",
        metric="mean squared error of pixels",
        seeds={"quick": 3, "full": 1},
        quick=arms(digits, quick),
        full=arms({"data": "cifar10"}, full),
        protocol=(
            "Mean over all pixels, of which the given half is right by itself, on held-out images. "
            "full: CIFAR-10, batches 1 to 4 against batch 5, 201 moments, 1,025 units, 100,000 "
            "meta-steps of one lifetime at 1e-4. quick: 8x8 digits shown once for 5 moments."
        ),
    )


def _omniglot() -> Experiment:
    """Five new characters from one drawing each."""
    asked: dict[str, Any] = {
        "data": "omniglot",
        "test_classes": 100,
        "ways": 5,
        "shots": 1,
        "queries": 1,
        "resize": 31,
        "invert": True,
        "rotations": "lifetime",
    }
    quick = MetaOptions(steps=1000, meta_batch=32, lr=1e-3, test_lifetimes=1000)
    decay = MetaOptions(
        steps=5_000_000,
        meta_batch=1,
        lr=3e-5,
        schedule="step",
        milestones=(1_000_000, 2_000_000, 3_000_000, 4_000_000),
        decay=0.666,
        test_lifetimes=1000,
    )
    reported = Reported(98.3, 0.80, "Miconi, Clune & Stanley (2018), section 4.3", "memory")

    def arm(setting: str, options: MetaOptions, number: Reported | None, **fields: Any) -> MetaArm:
        return _arm(setting, "hebbian_readout", "few_shot", fields, asked, options, number)

    return Experiment(
        name="omniglot",
        title="Omniglot, 5 ways, 1 shot",
        metric="accuracy, %",
        seeds={"quick": 1, "full": 10},
        quick=(
            arm("plastic output (Oja)", quick, None),
            arm("output without plasticity", quick, None, plastic=False),
        ),
        full=(arm("plastic output (Oja)", decay, reported),),
        protocol=(
            "100 of all 1,623 characters are kept for the test; images of 31x31, each character of "
            "a lifetime turned at random. The loss is the cross-entropy of the softmax (the paper "
            "uses the binary one), over a question about each class. quick: meta-steps of 32 "
            "lifetimes at 1e-3; full: five million of one at 3e-5, times 0.666 after every million."
        ),
    )


def _cue_reward() -> Experiment:
    """Which of four cues pays: from the successor, where the network gates its own plasticity."""
    quick = MetaOptions(steps=1000, meta_batch=16, lr=3e-3, clip=2.0, non_finite="skip")
    full = MetaOptions(steps=200_000, meta_batch=30, lr=1e-4, clip=2.0, non_finite="skip")
    kinds: dict[str, dict[str, Any]] = {
        "no plasticity": {"plastic": False},
        "plasticity without modulation": {"trace": "clipped"},
        "simple modulation": {"modulation": "simple"},
        "retroactive modulation": {"modulation": "retroactive"},
    }

    def arms(options: MetaOptions, **fields: Any) -> tuple[MetaArm, ...]:
        return tuple(
            _recurrent(setting, "cue_reward", {}, options, entry="dense", **fields, **own)
            for setting, own in kinds.items()
        )

    return Experiment(
        name="cue_reward",
        title="Four cues, one of which pays, 120 moments",
        metric="accuracy, %",
        seeds={"quick": 3, "full": 3},
        quick=arms(quick, hidden=40, scale=0.1),
        full=arms(full, hidden=200),
        protocol=(
            "Right answers among all of a lifetime, of which the first can only be guessed: "
            "chance is 50 %, and whoever remembers everything is right in about 94 %. The paper "
            "learns it by reinforcement, and claims that nothing is learned without modulation; "
            "here every answer is followed by the right one and judged by a cross-entropy, so "
            "that claim is not the one that is tested. All rows have the same settings and units, "
            "so the one without plasticity has fewer meta-parameters. quick: 40 units, 1,000 "
            "meta-steps of 16 lifetimes at 3e-3; full: the paper's 200 units and 200,000 "
            "meta-steps of 30 lifetimes at 1e-4."
        ),
    )


PAPER = Paper(
    title="Differentiable plasticity: training plastic neural networks with backpropagation",
    authors="Thomas Miconi, Jeff Clune, Kenneth O. Stanley",
    year=2018,
    link="https://arxiv.org/abs/1804.02464",
    bibtex="""@inproceedings{miconi2018differentiable,
  title={Differentiable plasticity: training plastic neural networks with backpropagation},
  author={Miconi, Thomas and Clune, Jeff and Stanley, Kenneth O.},
  booktitle={International Conference on Machine Learning}, pages={3559--3568}, year={2018}}""",
    experiments=(_patterns(), _large_patterns(), _images(), _omniglot(), _cue_reward()),
)
