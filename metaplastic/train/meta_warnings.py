"""What an estimator says against its own estimates, once for each reason."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .meta_diagnosis import worst_lifetime
from .meta_trainer import MetaReplica, MetaTrainer


class MetaWarnings:
    """The sentences of a run, by the measure that asked for them."""

    def __init__(self, trainer: MetaTrainer, seed_of: Callable[[int], str]):
        """`seed_of` names a replica."""
        self.trainer, self.seed_of = trainer, seed_of
        self.said: dict[str, str] = {}

    def __str__(self) -> str:
        return "\n".join(self.said.values())

    def hear(
        self, quality: dict[str, Any], steps: tuple[int, int], before: MetaReplica
    ) -> list[str]:
        """New sentences about a chunk, `steps` its first meta-step and the one after its last.

        `quality` is that of the chunk, [replicas, meta-steps] each, and `before` the state before
        it, from which its first meta-step is lived again to find what was worst.
        """
        told = []
        for measure, sentence in self.trainer.estimator.advice(finite_means(quality)).items():
            if measure in self.said:
                continue
            index = int(np.argmax(np.nan_to_num(quality[measure][:, 0], nan=-np.inf)))
            replica = jax.tree.map(lambda leaf, i=index: leaf[i], before)
            where = worst_lifetime(self.trainer, replica, steps[0], measure)
            self.said[measure] = f"from meta-step {steps[1]} on: {sentence}"
            if where is not None:
                seed = self.seed_of(index)
                self.said[measure] += f"; worst in meta-step {steps[0]} (seed {seed}), {where}"
            told.append(self.said[measure])
        return told


def finite_means(quality: dict[str, Any]) -> dict[str, float]:
    """Mean of what is finite of each measure; nothing where all meta-steps were skipped."""
    values = {name: np.asarray(own, np.float64) for name, own in quality.items()}
    if not all(np.isfinite(own).any() for own in values.values()):
        return {}
    return {name: float(own[np.isfinite(own)].mean()) for name, own in values.items()}
