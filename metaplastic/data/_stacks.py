"""Images by class as rectangular arrays, [classes, images, height, width(, channels)]."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._base import Arrays


def stacks_to_arrays(stacks: Sequence[npt.NDArray[Any]], first: int) -> Arrays:
    """Training and test set of the classes of all stacks in their order: of each class the `first`
    images for training, the others for testing. Binary images become 0 and 255."""
    stacks = [stack.view(np.uint8) * np.uint8(255) if stack.dtype == bool else stack
              for stack in stacks]  # fmt: skip
    halves = [np.concatenate([_flat(s[:, part]) for s in stacks])
              for part in (slice(first), slice(first, None))]  # fmt: skip
    counts = [(len(s), s.shape[1]) for s in stacks]
    classes = np.arange(sum(number for number, _ in counts))
    images = np.repeat([each for _, each in counts], [number for number, _ in counts])
    kept = np.minimum(images, first)
    return Arrays(halves[0], np.repeat(classes, kept), halves[1], np.repeat(classes, images - kept))


def _flat(stack: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return stack.reshape(-1, *stack.shape[2:])
