"""LeNet with feedback alignment, both variants, batch 64: against PyTorch."""

from typing import Any

from ._convolutional import step_row
from ._torch_models import lenet_step

_VARIANTS = {1: (6, 16, 120), 3: (32, 64, 128)}


def run() -> list[dict[str, Any]]:
    """One row a variant. Raises `MissingExtraError` without PyTorch."""
    return [
        step_row(
            "lenet",
            lenet_step(channels, filters, 64),
            channels=channels,
            batch=64,
            steps=20,
            bar="<= 1",
        )
        for channels, filters in _VARIANTS.items()
    ]
