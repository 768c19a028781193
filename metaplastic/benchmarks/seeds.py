"""Ten seeds of a small network in one program, against one seed."""

from typing import Any

import jax.numpy as jnp

from ..rules.backprop import Backprop
from ..rules.pepita import Pepita
from ..train import Trainer, TrainOptions
from ._synthetic import images
from ._timing import row, seconds_each


def run() -> list[dict[str, Any]]:
    """64-16-10, batch 64: cost of ten seeds over cost of one, for two rules."""
    data = images(64 * 22, 8, 8)
    rows = []
    for rule in (Backprop(), Pepita()):
        trainer = Trainer(rule, data, TrainOptions(hidden=(16,), epochs=40))
        candidates = {str(n): _epochs(trainer, n) for n in (10, 1)}
        seconds = seconds_each(candidates)
        name = f"{type(rule).__name__}: ten seeds / one seed"
        rows.append(row(name, seconds["10"], seconds["1"], "<= 2.5"))
    return rows


def _epochs(trainer: Trainer, seeds: int, epochs: int = 10) -> Any:
    state = trainer.initial(range(seeds), [0.05] * seeds)
    length = trainer.steps_per_epoch

    def train() -> Any:
        own = state
        for epoch in range(epochs):
            own, _ = trainer.chunk(own, jnp.int32(epoch * length), length=length)
        return own

    return train
