"""A training step of a convolutional network with feedback alignment, ours and PyTorch's."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from .._errors import require_extra
from ..rules.feedback_alignment import FeedbackAlignment
from ..train import Trainer, TrainOptions
from ._synthetic import images
from ._timing import row, seconds_each


def step_rows(
    model: str, torch_step: Callable[[], Callable[[], Any]], *, batch: int, steps: int, bar: str
) -> list[dict[str, Any]]:
    """One row: seconds of a chunk of steps of `model` over those of as many PyTorch steps.

    `torch_step` makes the function that does one step. Raises `MissingExtraError` without torch.
    """
    require_extra("torch", "bench")
    trainer = Trainer(
        FeedbackAlignment(),
        images(batch * steps, 32, 32, 3),
        TrainOptions(model=model, batch_size=batch, epochs=1, lr=0.01),
    )
    state, step = trainer.initial([0], [0.01]), torch_step()

    def theirs() -> None:
        for _ in range(steps):
            step()

    seconds = seconds_each(
        {"ours": lambda: trainer.chunk(state, jnp.int32(0), length=steps), "torch": theirs},
        repeats=5,
    )
    per_step = {name: [s / steps for s in own] for name, own in seconds.items()}
    return [row(f"{model}: ours / PyTorch", per_step["ours"], per_step["torch"], bar)]


