"""Feedback + local plasticity (Lindsey & Litwin-Kumar, NeurIPS 2020): sine curves and images.

The paper's tables are not quoted: no number of theirs was at hand in a form that can be trusted, so
our numbers stand alone, beside baselines that were meta-trained under the same protocol.
"""

from ..train.meta_entrant import Measure
from ._flp_analysis import changes_study, lesion_study
from ._flp_classification import classification
from ._flp_measures import alignment, forgetting
from ._flp_regression import FULL, QUICK, Size, arms, flp, regression
from .base import AnyArm, Experiment, MetaArm, Paper, StudyArm

_ANALYSED = ("FLP", "MAML, first order", "MAML, a rate a synapse")
_SEEDS = {"quick": 1, "full": 1}
_OWN = "new lifetimes in continual order; the measures are our own."


def _analysed(size: Size) -> tuple[MetaArm, ...]:
    return tuple(own for own in arms(size, "continual") if own.setting in _ANALYSED)


def _measured(name: str, title: str, metric: str, measure: Measure, *, higher: bool) -> Experiment:
    """One number about the changes that the learners of continual regression make."""

    def measured(size: Size) -> tuple[MetaArm, ...]:
        return tuple(
            MetaArm(
                setting=arm.setting,
                design=arm.design,
                options=arm.options,
                measure=measure,
                higher_is_better=higher,
            )
            for arm in _analysed(size)
        )

    return Experiment(
        name=name,
        title=title,
        metric=metric,
        quick=measured(QUICK),
        full=measured(FULL),
        seeds=_SEEDS,
        protocol=f"Mean over 100 {_OWN}",
    )


def _changes() -> Experiment:
    """Descent in spite of misalignment, and what the changes of two curves do to each other."""

    def studied(size: Size) -> tuple[StudyArm, ...]:
        return tuple(
            StudyArm(
                setting=arm.setting,
                study=changes_study(arm.design, arm.options),
                higher_is_better=True,
            )
            for arm in _analysed(size)
        )

    return Experiment(
        name="changes",
        title="what the changes of a lifetime do, moment by moment and curve by curve",
        metric="moments that lower their own loss, %",
        quick=studied(QUICK),
        full=studied(FULL),
        seeds=_SEEDS,
        protocol=(
            f"Means over 100 {_OWN} Decreases are those of a lifetime's median moment; those to "
            "first order are what the gradient foresees. Cosines between the summed changes of "
            "two curves stand beside those between their summed gradients at the same weights, as "
            "they are and less their mean over curves: what all curves share says nothing of "
            "interference. MAML has no coefficients that could be made alike."
        ),
    )


def _lesions() -> Experiment:
    """FLP without one of its parts, and with fewer plastic layers."""

    def rows(size: Size) -> tuple[AnyArm, ...]:
        (whole,) = (own for own in _analysed(size) if own.setting == "FLP")
        fewer = [top for top in size.tops if top <= len(size.hidden)]
        return (
            StudyArm(setting="FLP", study=lesion_study(whole.design, whole.options, fewer)),
            *(
                flp(
                    f"FLP, meta-trained with the last {top} plastic",
                    size,
                    "continual",
                    frozen=len(size.hidden) + 1 - top,
                )
                for top in fewer
            ),
        )

    return Experiment(
        name="lesions",
        title="sine curves in continual order, without a part of the learner",
        metric="mean squared error",
        quick=rows(QUICK),
        full=rows(FULL),
        seeds=_SEEDS,
        subject="FLP",
        protocol=(
            f"Lesions follow meta-training; on the same 100 {_OWN} Networks without a part often "
            "run away, so that the error of a lifetime counts as 10 at most. beta = 0: the output "
            "alone hears the feedback. Shuffled: each layer's feedback handed to its units in "
            "another order. The last k layers plastic: A = 0 in the others, after meta-training "
            "or from its start; a single one then takes the best of three rates on seed 0."
        ),
    )


def _experiments() -> tuple[Experiment, ...]:
    return (
        *(regression(order) for order in ("continual", "iid")),
        *classification(),
        _measured(
            "alignment",
            "cosine of a moment's change with the negative gradient",
            "cosine",
            alignment,
            higher=True,
        ),
        _measured(
            "forgetting",
            "rise of a curve's error from its own end to the end of all",
            "mean squared error",
            forgetting,
            higher=False,
        ),
        _changes(),
        _lesions(),
    )


PAPER = Paper(
    title="Learning to Learn with Feedback and Local Plasticity",
    authors="Jack Lindsey, Ashok Litwin-Kumar",
    year=2020,
    link="https://arxiv.org/abs/2006.09549",
    bibtex="""@inproceedings{lindsey2020learning,
  title={Learning to Learn with Feedback and Local Plasticity},
  author={Lindsey, Jack and Litwin-Kumar, Ashok},
  booktitle={Advances in Neural Information Processing Systems}, volume={33}, year={2020}}""",
    experiments=_experiments(),
)
