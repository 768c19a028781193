"""ResNet-20 with feedback alignment, batch 128: against PyTorch."""

from typing import Any

from ._convolutional import step_row
from ._torch_models import resnet20_step


def run() -> list[dict[str, Any]]:
    """One row. Raises `MissingExtraError` without PyTorch."""
    theirs = resnet20_step(128)
    return [step_row("resnet20", theirs, channels=3, batch=128, steps=4, bar="<= 2.5")]
