"""Learners that a study has meta-trained, one for each seed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from ..report.records import RunFolder
from ..train.design import Design
from ..train.entrant import part
from ..train.fit import Reporter
from ..train.meta_fit import MetaOutcome, meta_fit
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaReplica, MetaTrainer


class MetaTrained(NamedTuple):
    """A trainer, and what it came to."""

    trainer: MetaTrainer
    outcome: MetaOutcome

    def replicas(self) -> list[MetaReplica]:
        """The replica of each seed."""
        state = self.outcome.state
        return [
            jax.tree.map(lambda leaf, i=i: leaf[i], state) for i in range(state.skipped.shape[0])
        ]

    def learners(self) -> list[Any]:
        """The learner of each seed."""
        return [self.trainer.learner(own) for own in self.replicas()]


def meta_trained(
    design: Design,
    options: MetaOptions,
    seeds: Sequence[int],
    folder: RunFolder,
    reporter: Reporter,
    *,
    name: str,
) -> MetaTrained:
    """Meta-train; the run is kept in a part of `folder`, and resumed from there. `name` is what
    progress calls it."""
    trainer = MetaTrainer(*design.make(), options)
    own = part(folder, "training")
    return MetaTrained(trainer, meta_fit(trainer, seeds, folder=own, reporter=reporter, name=name))
