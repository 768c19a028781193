"""Reading `.npz` files with `x_train, y_train, x_test, y_test`; nothing is ever unpickled."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import DataError
from ._base import Arrays
from ._pickles import SUFFIXES as PICKLES, refusal

KEYS = Arrays._fields


def read_arrays(path: Path) -> Arrays:
    """The four arrays of an `.npz`, as they are stored; `DataError` if it is not a whole one."""
    return Arrays(*read_keys(path, KEYS))


def read_stacks(path: Path, keys: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Arrays of images by class, [classes, images, height, width(, channels)], of one kind.

    Raises `DataError` for a file without them.
    """
    stacks = read_keys(path, keys)
    for key, stack in zip(keys, stacks, strict=True):
        if stack.ndim not in (4, 5) or stack.dtype not in (np.uint8, np.bool_) or 0 in stack.shape:
            raise DataError(
                f"{path}: {key} is {stack.dtype} {stack.shape} and must be images by class, uint8 "
                f"[classes, images, height, width, channels]: write it again so"
            )
    if len({(s.shape[2:], s.dtype) for s in stacks}) > 1:
        raise DataError(
            f"{path}: {' and '.join(keys)} hold images of different sizes or types: give all one"
        )
    return stacks


def read_keys(path: Path, keys: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Arrays of an `.npz`, as they are stored; `DataError` if it is not a whole one with them."""
    if path.suffix in PICKLES:
        raise refusal(path, keys)
    if path.is_dir():
        raise DataError(
            f"{path} is a folder: give the path of an .npz with {', '.join(keys)}; folders of "
            "images by class are for the tasks image_patterns and few_shot"
        )
    if not path.is_file():
        raise DataError(f"there is no file {path}: give the path of an .npz with {', '.join(keys)}")
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path} is not a whole .npz file (no zip directory at its end): it is truncated or of "
            f"another kind, write it again with np.savez({path.name!r}, "
            f"{', '.join(f'{key}=...' for key in keys)})"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            if missing := [key for key in keys if key not in archive.files]:
                raise DataError(
                    f"{path} has no {', '.join(missing)} (it holds "
                    f"{', '.join(archive.files) or 'nothing'}): write it with np.savez and the "
                    f"keys {', '.join(keys)}"
                )
            return [_read_array(path, archive, key) for key in keys]
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
        raise DataError(f"{path} is damaged ({error}): write or copy it again") from error


def holds(path: Path, keys: Sequence[str]) -> bool:
    """Is this an `.npz` with these arrays?"""
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{key}.npy" for key in keys} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _read_array(path: Path, archive: Any, key: str) -> npt.NDArray[Any]:
    try:
        array = archive[key]
    except (ValueError, MemoryError) as error:
        # numpy says "Object arrays cannot be loaded when allow_pickle=False".
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: {key} is an array of Python objects, which only unpickling could read "
                f"and that can run any code: write it as numbers, for example with "
                f"np.stack(list({key})).astype({'np.int64' if key[0] == 'y' else 'np.float32'})"
            ) from error
        raise DataError(f"{path}: {key} cannot be read ({error}): write it again") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: {key} is not an array in numpy's format: write it with np.savez")
    return array


def peek(path: Path) -> dict[str, tuple[int, ...]] | None:
    """The shapes of the four arrays, from their headers alone; None if this is no such file."""
    shapes = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for key in KEYS:
                with archive.open(f"{key}.npy") as stream:
                    version = np.lib.format.read_magic(stream)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shapes[key] = read(stream)[0]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return shapes
