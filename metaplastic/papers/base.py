"""What a paper is to this package: experiments with settings, and the numbers that it reports."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ..train.options import TrainOptions

Provenance = Literal["source", "secondary", "memory"]
Scale = Literal["quick", "full"]


@dataclass(frozen=True)
class Reported:
    """A number that a paper reports, in percent, and how far it can be trusted.

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
class Experiment:
    """One table column of a paper, at both scales."""

    name: str
    title: str
    metric: str = "test accuracy, %"
    quick: tuple[Arm, ...] = ()
    full: tuple[Arm, ...] = ()
    seeds: dict[str, int] = field(default_factory=lambda: {"quick": 3, "full": 10})
    grid_epochs: dict[str, int | None] = field(default_factory=lambda: {"quick": None, "full": 20})
    protocol: str = ""
    """What the paper does that is not in the options, and where ours differs."""

    def arms(self, scale: Scale) -> tuple[Arm, ...]:
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
