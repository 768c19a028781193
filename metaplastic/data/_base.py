"""What a data set is: arrays with a scale, and a description of where they come from."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Progress = Callable[[str, int, int], None]
"""Told of a download: file name, bytes so far, bytes in total."""
Split = tuple[Sequence[int], Sequence[int]]
"""Classes of meta-training and classes of meta-testing."""


class FormatError(Exception):
    """A file that is not what its format says; `load` turns it into a `DataError` with the fix."""


class Arrays(NamedTuple):
    """What a reader returns, in the order of the keys of an `.npz`."""

    x_train: npt.NDArray[Any]
    y_train: npt.NDArray[Any]
    x_test: npt.NDArray[Any]
    y_test: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with their classes, a training set and a test set.

    `x` is uint8 `[n, h, w]` or `[n, h, w, channels]`, or float32 `[n, features]` (images may be
    float32 too); `x / scale` is what a network sees, in [0, 1] for uint8. `y` is int64 `[n]` with
    the values 0..classes-1, all of which occur in `y_train`.
    """

    name: str
    x_train: npt.NDArray[Any] = field(repr=False)
    y_train: npt.NDArray[np.int64] = field(repr=False)
    x_test: npt.NDArray[Any] = field(repr=False)
    y_test: npt.NDArray[np.int64] = field(repr=False)
    classes: int
    scale: float
    source: str
    licence: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example as a network takes it: `(features,)` or `(h, w, channels)`."""
        shape = self.x_train.shape[1:]
        return (*shape, 1) if len(shape) == 2 else shape

    @cached_property
    def sha256(self) -> str:
        """Hash of names, types, shapes and contents of the four arrays and of the scale."""
        digest = hashlib.sha256(f"scale {self.scale:g};".encode())
        for key in Arrays._fields:
            array = np.ascontiguousarray(getattr(self, key))
            little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{key} {little_endian.dtype.str} {array.shape};".encode())
            digest.update(little_endian.data)
        return digest.hexdigest()

    def record(self) -> dict[str, Any]:
        """What a run record says of its data; nothing but plain JSON types."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "source": self.source,
            "licence": self.licence,
            "train": len(self.y_train),
            "test": len(self.y_test),
            "shape": list(self.shape),
            "classes": self.classes,
            "scale": self.scale,
        }


@dataclass(frozen=True)
class DataFile:
    """A published file: its name at every mirror, its checksum and its length in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Source:
    """A data set that is published elsewhere, or shipped with the package.

    The module that holds it as `SOURCE` gives it its name (the module's) and its one-line
    description (the first line of the module's docstring).
    """

    files: tuple[DataFile, ...]
    read: Callable[[Path], Arrays]
    """Reads the files in a folder; they have been checked against their checksums."""
    homepage: str
    licence: str
    citation: str
    shape: tuple[int, ...]
    classes: int
    train: int
    test: int
    mirrors: tuple[str, ...] = ()
    """Prefixes; a file is at prefix + name. Tried in this order."""
    scale: float | None = None
    """None: 255 for uint8, 1 for floats."""
    shipped: bool = False
    """The files lie in the package."""
    read_own: Callable[[Path], Arrays] | None = None
    """Reads the `.npz`, or the folder, of this name in METAPLASTIC_DATA where that may have a
    layout of its own; the four arrays are understood anyway."""
    splits: Mapping[str, Split] = field(default_factory=dict)
    """Published splits of the classes, for learning from few examples; the first is the usual."""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)
