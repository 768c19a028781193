"""What a paper is to this package: experiments with settings, and the numbers that it reports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from ..report.records import RunFolder
from ..train.design import Design
from ..train.fit import Reporter
from ..train.meta_entrant import Measure
from ..train.meta_options import MetaOptions
from ..train.options import TrainOptions

Provenance = Literal["source", "secondary", "memory"]
Scale = Literal["quick", "full"]


@dataclass(frozen=True)
class Reported:
    """A number that a paper reports, in the unit of its metric, and how far it can be trusted.

    `source`: read in the paper, its code or its logs; `secondary`: quoted elsewhere; `memory`:
    unverified, and then never part of a verdict.
    """

    value: float
    std: float | None
    source: str
    provenance: Provenance


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One row of an experiment: a rule, its options, and the paper's number beside it."""

    setting: str
    """The rule as the table names it."""
    rule: str
    """Its registered name."""
    fields: dict[str, Any] = field(default_factory=dict)
    """Options of the rule."""
    options: TrainOptions
    rates: tuple[float, ...]
    """Learning rates; more than one: the best on a validation set is taken."""
    reported: Reported | None = None


@dataclass(frozen=True, kw_only=True)
class MetaArm:
    """One row of an experiment that meta-trains a learner."""

    setting: str
    """The learner as the table names it."""
    design: Design
    options: MetaOptions
    rates: tuple[float, ...] = ()
    """Rates to choose from (`MetaEntrant.rates`); none: the design's own."""
    metric: str | None = None
    """What its number is, where not the experiment's metric."""
    higher_is_better: bool | None = None
    """Of `metric`; the task's metric tells where it is not given."""
    measure: Measure | None = None
    """One number a seed instead of the test's metric."""
    both: bool = False
    """Does the test's metric (the experiment's) have a row too, after that of `measure`?"""
    seeds: int | None = None
    """How many, where not the experiment's number."""
    reported: Reported | None = None


class Found(NamedTuple):
    """What a study came to."""

    rows: Mapping[str, np.ndarray]
    """One row of the table each: what its name adds to the arm's setting, one number a seed."""
    data: Mapping[str, Any]
    """What figures show of it; anything that JSON can hold."""
    metrics: Mapping[str, str] = MappingProxyType({})
    """What the numbers of a row are, by its name, where not the arm's metric."""


Study = Callable[[tuple[int, ...], RunFolder, Reporter], Found]
"""`(seeds, folder for what it may want to keep, reporter) -> what was found`."""


@dataclass(frozen=True, kw_only=True)
class StudyArm:
    """Rows of an experiment that trains nothing, or more than one learner."""

    setting: str
    """Its rows as the table names them, before what each adds."""
    study: Study
    figure: str = "rows"
    """The module of `metaplastic.report.studies` that draws it."""
    metric: str | None = None
    """What its numbers are, where not the experiment's metric."""
    higher_is_better: bool = False
    seeds: int | None = None
    """How many, where not the experiment's number."""
    reported: None = None


AnyArm = Arm | MetaArm | StudyArm


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One table column of a paper, at both scales.

    Numbers of a metric that ends in "%" are shown times 100.
    """

    name: str
    title: str
    metric: str = "test accuracy, %"
    quick: tuple[AnyArm, ...] = ()
    full: tuple[AnyArm, ...] = ()
    seeds: dict[str, int] = field(default_factory=lambda: {"quick": 3, "full": 10})
    grid_epochs: dict[str, int | None] = field(default_factory=lambda: {"quick": None, "full": 20})
    timed: bool = False
    """Are the seconds of meta-training shown beside the numbers?"""
    subject: str | None = None
    """Setting of the arm that all others are compared with: the paper's own algorithm, mostly."""
    protocol: str = ""
    """What the paper does that is not in the options, and where ours differs."""

    def arms(self, scale: Scale) -> tuple[AnyArm, ...]:
        """The arms at a scale."""
        return self.quick if scale == "quick" else self.full


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A paper with its experiments."""

    title: str
    authors: str
    year: int
    link: str
    bibtex: str
    experiments: tuple[Experiment, ...]
