"""Ten seeds of a small network in one program, against one seed."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ..data import load
from ..rules.backprop import Backprop
from ..train import Trainer, TrainOptions, fit
from ._timing import row, seconds_each

_OPTIONS = TrainOptions(hidden=(16,), epochs=40)


def run() -> list[dict[str, Any]]:
    """64-16-10 on digits, batch 64: cost of ten seeds over cost of one.

    Once for a training run as a user starts it (compilation, 40 epochs, evaluation), once for the
    compiled steps alone, where the products of ten networks cannot cost less than their arithmetic.
    """
    trainer = Trainer(Backprop(), load("digits"), _OPTIONS)
    rows = []
    for what, make, bar in (
        ("a training run", _whole_run, "<= 2.5"),
        ("compiled steps alone", lambda n: _steps(trainer, n), "no bar"),
    ):
        seconds = seconds_each({str(n): make(n) for n in (10, 1)}, repeats=5)
        rows.append(row(f"ten seeds / one seed, {what}", seconds["10"], seconds["1"], bar))
    return rows


def _whole_run(seeds: int) -> Callable[[], Any]:
    def train() -> None:
        fit(Trainer(Backprop(), load("digits"), _OPTIONS), range(seeds), [0.05] * seeds)

    return train


def _steps(trainer: Trainer, seeds: int, epochs: int = 10) -> Callable[[], Any]:
    state = trainer.initial(range(seeds), [0.05] * seeds)
    length = trainer.steps_per_epoch

    def train() -> Any:
        own = state
        for epoch in range(epochs):
            own, _ = trainer.chunk(own, jnp.int32(epoch * length), length=length)
        return own

    return train
