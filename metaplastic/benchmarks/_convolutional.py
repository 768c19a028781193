"""A training step of a convolutional network with feedback alignment, ours and PyTorch's."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ..rules.feedback_alignment import FeedbackAlignment
from ..train import Trainer, TrainOptions
from ._synthetic import images
from ._timing import row, seconds_each


def step_row(
    model: str, theirs: Callable[[], None], *, channels: int, batch: int, steps: int, bar: str
) -> dict[str, Any]:
    """Seconds of a step of `model` with feedback alignment, over those of the PyTorch step."""
    trainer = Trainer(
        FeedbackAlignment(),
        images(batch * steps, 32, 32, channels),
        TrainOptions(model=model, batch_size=batch, epochs=1, lr=0.01),
    )
    state = trainer.initial([0], [0.01])

    def torch_steps() -> None:
        for _ in range(steps):
            theirs()

    candidates = {
        "ours": lambda: trainer.chunk(state, jnp.int32(0), length=steps),
        "torch": torch_steps,
    }
    seconds = seconds_each(candidates, repeats=5)
    per_step = {name: [s / steps for s in own] for name, own in seconds.items()}
    label = f"{model}, {channels} channels, batch {batch}: ours / PyTorch"
    return row(label, per_step["ours"], per_step["torch"], bar)
