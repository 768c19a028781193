"""Short-term plasticity neurons beside networks of equal size (Garcia Rodriguez et al., 2022).

Garcia Rodriguez, Guo & Moraitis, "Short-term plasticity neurons learning to learn and forget",
ICML: retrieval by association, and familiarity.

The paper's own numbers are not quoted: it gives them as figures. Its mazes, Atari games and robots
are not part of this package.
"""

from dataclasses import dataclass
from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from ._stpn_study import learner_study
from .base import Experiment, Paper, StudyArm

_SEQUENCES, _BATCH = 100_000, 128
"""Of retrieval, and of a meta-step."""
_MODULATED = {"entry": "dense", "modulation": "simple", "learn_eta": False}
_SCALAR = {"granularity": "global"}


def _arm(
    setting: str,
    learner: Part,
    task: Part,
    options: MetaOptions,
    figure: str,
    intervals: tuple[int, ...] = (),
    seeds: int | None = None,
) -> StudyArm:
    design = Design(learner=learner, task=task)
    study = learner_study(design, options, intervals)
    return StudyArm(setting=setting, study=study, figure=figure, higher_is_better=True, seeds=seeds)


# Retrieval

_RETRIEVAL: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("STPN, 11 units", "stpn", {"hidden": 11}),
    ("LSTM, 9 units", "lstm", {"hidden": 9}),
    ("RNN, 20 units", "rnn", {"hidden": 20}),
    ("STPN without plasticity, 11 units", "stpn", {"hidden": 11, "plastic": False}),
    ("fast weights, 20 units", "fast_weights", {"hidden": 20}),
    ("modulated plasticity, 17 units", "hebbian_recurrent", {"hidden": 17, **_MODULATED}),
    ("HebbFF, 26 units", "hebb_ff", {"hidden": 26}),
    ("STPN, feed-forward, 13 units", "stpn", {"hidden": 13, "recurrent": False}),
    ("STPN, one pace for all, 20 units", "stpn", {"hidden": 20, **_SCALAR}),
    (
        "STPN, feed-forward, one pace for all, 26 units",
        "stpn",
        {"hidden": 26, "recurrent": False, **_SCALAR},
    ),
)


_QUICK_SEEDS = (5, *[3] * 9)
_FULL_SEEDS = (3,) * len(_RETRIEVAL)


def _retrieval_arms(
    epochs: int, tests: int, lifetimes: int, seeds: tuple[int, ...]
) -> tuple[StudyArm, ...]:
    steps = epochs * _SEQUENCES // _BATCH
    options = MetaOptions(
        steps=steps,
        meta_batch=_BATCH,
        lr=1e-3,
        record_every=steps // (5 * tests),  # a part of the next, or programs of many lengths
        test_every=steps // tests,
        test_lifetimes=lifetimes,
        parallel="loop",
    )
    task, figure = Part("associative_retrieval", {"examples": _SEQUENCES}), "stpn_retrieval"
    return tuple(
        _arm(setting, Part(name, fields), task, options, figure, seeds=count)
        for (setting, name, fields), count in zip(_RETRIEVAL, seeds, strict=True)
    )


def _retrieval() -> Experiment:
    return Experiment(
        name="retrieval",
        title="The digit that came with a letter, after three pairs of them",
        metric="accuracy, %",
        quick=_retrieval_arms(epochs=20, tests=25, lifetimes=2000, seeds=_QUICK_SEEDS),
        full=_retrieval_arms(epochs=200, tests=50, lifetimes=20_000, seeds=_FULL_SEEDS),
        seeds={"quick": 3, "full": 3},
        subject=_RETRIEVAL[0][0],
        protocol=(
            "Networks of 1,900 to 2,100 parameters. 100,000 sequences to learn from, others for "
            "the test; meta-steps of 128 sequences, in epochs that all have one order, as in the "
            "released code; Adam at 1e-3; cross-entropy over all 37 symbols at the last moment. "
            "quick: 20 epochs; five seeds of STPN, three of all others. full: 200 epochs, "
            "without choosing one by validation. Short-term "
            "plasticity divides memories before they decay (`pre`). Modulated plasticity is "
            "backpropamine's simple form with the inputs through weights. Energy: sum |G| u^2 over "
            "all synapses but the read-out's, mean over moments, after meta-training; of STPN with "
            "|G| / n, which is what acts where a unit divides by its norm n."
        ),
    )


# Familiarity


@dataclass(frozen=True)
class _Size:
    """The scale of continual familiarity."""

    steps: int
    meta_batch: int
    moments: int
    streams: int
    """Of the fixed set."""
    lr: float


_FAMILIARITY: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("STPN, 27 units", "stpn", {"hidden": 27}),
    ("STPN, feed-forward, 34 units", "stpn", {"hidden": 34, "recurrent": False}),
    ("HebbFF, 100 units", "hebb_ff", {"hidden": 100}),
    ("LSTM, 21 units", "lstm", {"hidden": 21}),
    ("STPN, one pace for all, 62 units", "stpn", {"hidden": 62, **_SCALAR}),
    (
        "STPN, feed-forward, one pace for all, 100 units",
        "stpn",
        {"hidden": 100, "recurrent": False, **_SCALAR},
    ),
)
_QUICK = _Size(steps=600, meta_batch=16, moments=50, streams=32, lr=3e-3)
_FULL = _Size(steps=20_000, meta_batch=32, moments=100, streams=50, lr=1e-3)
_INTERVALS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20)


def _familiarity_arms(
    size: _Size, interval: int, examples: int | None, most: int
) -> tuple[StudyArm, ...]:
    asked = {"moments": size.moments, "interval": (interval,), "examples": examples}
    options = MetaOptions(
        steps=size.steps,
        meta_batch=size.meta_batch,
        lr=size.lr,
        test_every=size.steps // 10,
        test_lifetimes=100,
        parallel="loop",
        clip=10.0,
    )
    task = Part("continual_familiarity", asked)
    return tuple(
        _arm(setting, Part(name, fields), task, options, "stpn_familiarity", _INTERVALS)
        for setting, name, fields in _FAMILIARITY[:most]
    )


def _familiarity(name: str, title: str, interval: int, fixed: bool) -> Experiment:
    def arms(size: _Size, most: int) -> tuple[StudyArm, ...]:
        return _familiarity_arms(size, interval, size.streams if fixed else None, most)

    return Experiment(
        name=name,
        title=title,
        metric="accuracy, %",
        quick=arms(_QUICK, 4),
        full=arms(_FULL, len(_FAMILIARITY)),
        seeds={"quick": 3, "full": 3},
        subject=_FAMILIARITY[0][0],
        protocol=(
            "100 values a pattern, networks of about 10,300 parameters; patterns come back with "
            "probability 1/2 and once, so that `new` is right in 67 %. Two classes and their "
            "cross-entropy at every moment. The test is on new streams at the interval of "
            "meta-training; the figure has others, which were never met. Neither number of streams "
            "nor their length nor rates are known of the paper; ours: quick, 600 meta-steps of "
            "16 streams of 50 moments at 3e-3 (fixed: 32 streams); full, 20,000 of 32 streams of "
            "100 at 1e-3 (fixed: 50). Gradients are clipped at a norm of 10."
        ),
    )


PAPER = Paper(
    title="Short-Term Plasticity Neurons Learning to Learn and Forget",
    authors="Hector Garcia Rodriguez, Qinghai Guo, Timoleon Moraitis",
    year=2022,
    link="https://arxiv.org/abs/2206.14048",
    bibtex="""@inproceedings{garciarodriguez2022shortterm,
  title={Short-Term Plasticity Neurons Learning to Learn and Forget},
  author={Garcia Rodriguez, Hector and Guo, Qinghai and Moraitis, Timoleon},
  booktitle={International Conference on Machine Learning}, year={2022}}""",
    experiments=(
        _retrieval(),
        _familiarity("familiarity_fixed", "Familiar after 3 moments, a fixed set", 3, True),
        _familiarity("familiarity", "Familiar after 3 moments, streams always new", 3, False),
        _familiarity("familiarity_later", "Familiar after 6 moments, streams always new", 6, False),
    ),
)
