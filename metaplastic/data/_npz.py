"""Reading `.npz` files with `x_train, y_train, x_test, y_test`; nothing is ever unpickled."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import DataError
from ._base import Arrays

KEYS = Arrays._fields


def read_arrays(path: Path) -> Arrays:
    """The four arrays of an `.npz`, as they are stored; `DataError` if it is not a whole one."""
    if not path.is_file():
        raise DataError(f"there is no file {path}: give the path of an .npz with {', '.join(KEYS)}")
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path} is not a whole .npz file (no zip directory at its end): it is truncated or of "
            f"another kind, write it again with np.savez({path.name!r}, x_train=..., y_train=..., "
            f"x_test=..., y_test=...)"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            if missing := [key for key in KEYS if key not in archive.files]:
                raise DataError(
                    f"{path} has no {', '.join(missing)} (it holds "
                    f"{', '.join(archive.files) or 'nothing'}): write it with np.savez and the "
                    f"keys {', '.join(KEYS)}"
                )
            return Arrays(*(_read_array(path, archive, key) for key in KEYS))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
        raise DataError(f"{path} is damaged ({error}): write or copy it again") from error


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
