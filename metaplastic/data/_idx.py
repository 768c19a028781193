"""The IDX format of MNIST and its successors (LeCun, Cortes & Burges, 1998), gzipped.

Two zero bytes, a type (8: unsigned byte), the number of axes, the length of each axis as a
big-endian 32-bit integer, then the values with the last axis running fastest.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._base import Arrays, FormatError

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def read_file(path: Path, axes: int) -> npt.NDArray[np.uint8]:
    """The array in a gzipped IDX file of unsigned bytes with so many axes."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error})") from error
    return decode(packed, axes, str(path))


def decode(packed: bytes, axes: int, path: str) -> npt.NDArray[np.uint8]:
    """The array in the bytes of such a file; `path` is what messages call it."""
    try:
        content = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path} is not a whole gzip file ({error})") from error
    header = 4 + 4 * axes
    magic = bytes([0, 0, 8, axes])
    if len(content) < header or content[:4] != magic:
        raise FormatError(
            f"{path} is not an IDX file of unsigned bytes with {axes} axes: it begins with "
            f"{content[:4].hex(' ') or 'nothing'} instead of {magic.hex(' ')}"
        )
    shape = struct.unpack(f">{axes}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise FormatError(
            f"{path} announces {math.prod(shape)} values {list(shape)} and holds "
            f"{len(content) - header}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_folder(folder: Path) -> Arrays:
    """Images `[n, h, w]` and labels `[n]` from the four files of an MNIST-like data set."""
    parts: list[npt.NDArray[Any]] = [
        read_file(folder / name, axes) for name, axes in zip(FILES, (3, 1, 3, 1), strict=True)
    ]
    return Arrays(*parts)
