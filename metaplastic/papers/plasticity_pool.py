"""Local rules discovered over random feedback (Shervani-Tabar & Rosenbaum, 2023)."""

from collections.abc import Callable
from typing import Any

from ..train.meta_options import MetaOptions
from . import _pool_designs as own, _pool_studies as studies
from .base import AnyArm, Experiment, MetaArm, Paper, Reported, Scale, StudyArm

_SEEDS = {"quick": 3, "full": 20}
_ACCURACY = "accuracy, %"
_FOUND = "F^bio: eHebb and Oja"
_BESIDE: dict[str, dict[str, Any]] = {
    "backpropagation": {"terms": own.GRADIENT, "feedback": "symmetric"},
    "feedback alignment": {"terms": own.GRADIENT},
    _FOUND: {"terms": own.BIO},
}
"""The discovered rule between what it started from and what it is to come near."""


def _feedback() -> Experiment:
    """The pseudo-gradient alone: how far each way of sending errors back comes in 250 images."""
    reported = {
        "backpropagation": Reported(70.0, None, f"{own.SOURCE}, results, about", "source"),
        "feedback alignment": Reported(25.0, None, f"{own.SOURCE}, results, about", "source"),
    }
    ways = {
        "backpropagation": "symmetric",
        "feedback alignment": "random",
        "direct feedback alignment": "direct",
    }

    def arms(scale: Scale) -> tuple[MetaArm, ...]:
        rules = {name: {"terms": own.GRADIENT, "feedback": way} for name, way in ways.items()}
        return _meta_arms(scale, rules, reported=reported if scale == "full" else None)

    return _experiment(
        name="feedback",
        title="Feedback with a meta-learned rate",
        arms=arms,
        protocol=own.PROTOCOL + own.SIZES + " The paper's numbers are those of its text.",
    )


def _pool() -> Experiment:
    """Ten terms, of which L1 leaves some."""

    def options(scale: Scale, **changed: Any) -> MetaOptions:
        given = {**own.TEN, **changed}
        if scale == "full":
            given["steps"] = own.STEPS[scale]
        return own.options(scale, {}, **given)

    def arms(scale: Scale) -> tuple[StudyArm, ...]:
        settings = {
            "ten terms": options(scale),
            "ten terms, L1": options(scale, **own.SPARSE),
        }
        design = own.design(scale, {"terms": ("published",)})
        return tuple(
            StudyArm(
                setting=name,
                study=studies.survivors(design, chosen, name),
                figure="pool_coefficients",
                higher_is_better=True,
            )
            for name, chosen in settings.items()
        )

    return _experiment(
        name="pool",
        title="A pool of ten terms",
        arms=arms,
        protocol=own.PROTOCOL + own.SIZES + own.PRUNING,
    )


def _rules() -> Experiment:
    """The discovered rule and its parts: accuracy, angles, orthonormality."""
    rules = {
        "feedback alignment": own.GRADIENT,
        "eHebb": own.EHEBB,
        "Oja": own.OJA,
        _FOUND: own.BIO,
    }

    def arms(scale: Scale) -> tuple[StudyArm, ...]:
        return tuple(
            _lifetime(scale, name, {"terms": terms}, own.HIDDEN) for name, terms in rules.items()
        )

    return _experiment(
        name="rules",
        title="What the surviving terms do",
        arms=arms,
        subject=_FOUND,
        protocol=(
            own.PROTOCOL + own.SIZES + " Angles: between the errors that feedback and "
            "backpropagation bring to a layer, at the end of a lifetime, over its questions."
        ),
    )


def _layers() -> Experiment:
    """eHebb in one layer alone."""
    where = {"none": None, "layer 1": "1", "layer 2": "2", "layer 3": "3", "all layers": "1,2,3"}

    def arms(scale: Scale) -> tuple[StudyArm, ...]:
        found = []
        for name, layers in where.items():
            rule: dict[str, Any] = {"terms": own.EHEBB if layers else own.GRADIENT}
            rule |= {"only": (f"ehebb={layers}",)} if layers else {}
            found.append(_lifetime(scale, f"eHebb in {name}", rule, (130, 70)))
        return tuple(found)

    return _experiment(
        name="layers",
        title="eHebb layer by layer",
        arms=arms,
        protocol=own.PROTOCOL + own.SIZES + " Two hidden layers of 130 and 70 units.",
    )


def _mnist() -> Experiment:
    """Real images of ten classes."""

    def arms(scale: Scale) -> tuple[MetaArm, ...]:
        images = {"data": "mnist", "resize": 14} if scale == "quick" else {"data": "mnist"}
        return _meta_arms(scale, _BESIDE, images=images)

    return _experiment(
        name="mnist",
        title="The discovered rule on MNIST",
        arms=arms,
        subject=_FOUND,
        protocol=(
            own.PROTOCOL + "Any five of MNIST's ten classes, half of the images of each for the "
            "test, ten outputs; the paper holds ten classes for too few. quick: 14 x 14, 100 "
            "meta-steps; full: 28 x 28, 600."
        ),
    )


def _omniglot() -> Experiment:
    """Characters that meta-training never saw."""
    new = {"data": "omniglot", "invert": True, "held": "classes", "labels": "permuted"}
    new |= {"shots": 15, "queries": 5}

    def arms(scale: Scale) -> tuple[MetaArm, ...]:
        return _meta_arms(scale, _BESIDE, images=new | {"resize": 14 if scale == "quick" else 28})

    return _experiment(
        name="omniglot",
        title="The discovered rule on characters that are new",
        arms=arms,
        subject=_FOUND,
        protocol=(
            own.PROTOCOL + "Here 15 images of each of five characters, then 5 others of each, five "
            "outputs; the characters of the test are none of meta-training. Not in the paper. "
            "quick: 14 x 14, 100 meta-steps; full: 28 x 28, 600."
        ),
    )


def _experiment(
    *,
    name: str,
    title: str,
    arms: Callable[[Scale], tuple[AnyArm, ...]],
    protocol: str,
    subject: str | None = None,
) -> Experiment:
    """All are measured alike, at both scales."""
    return Experiment(
        name=name,
        title=title,
        metric=_ACCURACY,
        seeds=_SEEDS,
        quick=arms("quick"),
        full=arms("full"),
        subject=subject,
        protocol=protocol,
    )


def _meta_arms(
    scale: Scale,
    rules: dict[str, dict[str, Any]],
    *,
    images: dict[str, Any] | None = None,
    reported: dict[str, Reported] | None = None,
) -> tuple[MetaArm, ...]:
    """Rules that are learned and tested alike, by what the table calls them."""
    return tuple(
        MetaArm(
            setting=name,
            design=own.design(scale, rule, images=images),
            options=own.options(scale, rule),
            reported=(reported or {}).get(name),
        )
        for name, rule in rules.items()
    )


def _lifetime(scale: Scale, name: str, rule: dict[str, Any], hidden: tuple[int, ...]) -> StudyArm:
    design = own.design(scale, rule, hidden=hidden)
    return StudyArm(
        setting=name,
        study=studies.in_a_lifetime(design, own.options(scale, rule), name),
        figure="pool_lifetime",
        higher_is_better=True,
    )


PAPER = Paper(
    title="Meta-learning biologically plausible plasticity rules with random feedback pathways",
    authors="Navid Shervani-Tabar, Robert Rosenbaum",
    year=2023,
    link="https://arxiv.org/abs/2210.16414",
    bibtex="""@article{shervani2023meta,
  title={Meta-learning biologically plausible plasticity rules with random feedback pathways},
  author={Shervani-Tabar, Navid and Rosenbaum, Robert},
  journal={Nature Communications}, volume={14}, pages={1805}, year={2023}}""",
    experiments=(_feedback(), _pool(), _rules(), _layers(), _mnist(), _omniglot()),
)
