"""Images brought to another size, bilinearly; where they shrink, averaged over what is left out."""

from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 1000


def resize(images: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """[n, height, width, channels] to [n, side, side, channels], in the same type."""
    if images.shape[1:3] == (side, side):
        return images
    down, across = (_weights(size, side) for size in images.shape[1:3])
    out = np.empty((len(images), side, side, images.shape[3]), images.dtype)
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK].astype(np.float32).transpose(0, 3, 1, 2)
        part = (down @ (part @ across.T)).transpose(0, 2, 3, 1)
        out[start : start + _CHUNK] = part.round() if images.dtype == np.uint8 else part
    return out


def _weights(size: int, wanted: int) -> npt.NDArray[np.float32]:
    """[wanted, size]: how much each pixel counts in each new one, a triangle about its place."""
    ratio = size / wanted
    place = (np.arange(wanted)[:, None] + 0.5) * ratio - 0.5
    distance = np.abs(np.arange(size) - place) / max(ratio, 1.0)
    triangle = np.maximum(0.0, 1.0 - distance)
    return (triangle / triangle.sum(1, keepdims=True)).astype(np.float32)
