"""Images in folders, one folder a class: PNG and JPEG, read with Pillow (extra `images`)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._errors import DataError, require_extra
from ._base import Split

SUFFIXES = (".png", ".jpg", ".jpeg")
_PARTS = ("train", "val", "test")


class Folder(NamedTuple):
    """Images of a folder, with their classes."""

    x: npt.NDArray[np.uint8]
    """[n, height, width, channels]."""
    y: npt.NDArray[np.int64]
    """Classes, ascending."""
    names: tuple[str, ...]
    """Path of each class below the folder."""
    splits: dict[str, Split]
    """Where the folder has `train` and `test` (and perhaps `val`) folders of classes: those."""


def read_folder(path: Path, side: int | None = None) -> Folder:
    """All images below a folder; a class is a folder with images in it, however deep.

    They are brought to `side` x `side`, or, without it, must have one size. Classes are sorted by
    name, those of a folder `train` first, then `val`, then `test`. Raises `DataError` for images
    that cannot be read and for folders without any, `MissingExtraError` without Pillow.
    """
    if not path.is_dir():
        raise DataError(f"there is no folder {path}: give one that holds a folder for each class")
    classes = list_classes(path)
    if len(classes) < 2:
        raise DataError(
            f"{path} holds {len(classes)} folders with images ({', '.join(SUFFIXES)}): it needs "
            f"one folder for each class, at least two"
        )
    files = [file for own in classes.values() for file in own]
    images = _read_images(files, side)
    y = np.repeat(np.arange(len(classes)), [len(own) for own in classes.values()])
    return Folder(images, y, tuple(classes), _splits(tuple(classes)))


def list_classes(path: Path) -> dict[str, list[Path]]:
    """Image files by class, in order."""
    found = {}
    for folder, inner, files in os.walk(path):
        inner[:] = sorted(name for name in inner if not name.startswith((".", "__MACOSX")))
        images = sorted(f for f in files if f.lower().endswith(SUFFIXES) and f[0] != ".")
        if images and Path(folder) != path:
            name = Path(folder).relative_to(path).as_posix()
            found[name] = [Path(folder, image) for image in images]
    return dict(sorted(found.items(), key=lambda item: (_part(item[0]), item[0])))


def _part(name: str) -> int:
    first = name.partition("/")[0]
    return _PARTS.index(first) if first in _PARTS else -1


def _splits(names: tuple[str, ...]) -> dict[str, Split]:
    parts = {part: [i for i, name in enumerate(names) if name.startswith(f"{part}/")]
             for part in _PARTS}  # fmt: skip
    if not parts["train"]:
        return {}
    return {
        title: (tuple(parts["train"]), tuple(parts[part]))
        for title, part in (("folders", "test"), ("validation", "val"))
        if parts[part]
    }


def _read_images(files: list[Path], side: int | None) -> npt.NDArray[np.uint8]:
    modes = {mode for mode, _ in _looks(files)}
    mode = "L" if modes <= {"L", "1"} else "RGB"
    images: npt.NDArray[Any] = np.empty((0,), np.uint8)
    for index, image in enumerate(_decoded(files, mode, side)):
        if index == 0:
            images = np.empty((len(files), *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise DataError(
                f"{files[index]} is {image.shape[1]}x{image.shape[0]} and {files[0]} is "
                f"{images.shape[2]}x{images.shape[1]}: bring all to one size, as --task.resize does"
            )
        images[index] = image
    return images


def _looks(files: list[Path]) -> Iterator[tuple[str, Any]]:
    for file in files:
        with _open(file) as image:
            yield image.mode, image.size


def _decoded(files: list[Path], mode: str, side: int | None) -> Iterator[npt.NDArray[np.uint8]]:
    from PIL import Image

    for file in files:
        with _open(file) as image:
            try:
                pixels = image.convert(mode)
            except OSError as error:
                raise _damaged(file, error) from error
            if side is not None and pixels.size != (side, side):
                pixels = pixels.resize((side, side), Image.Resampling.BILINEAR)
            array = np.asarray(pixels)
            yield array[:, :, None] if array.ndim == 2 else array


def _open(file: Path) -> Any:
    require_extra("PIL", "images")
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(file, formats=("PNG", "JPEG"))
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} is not a whole PNG or JPEG image ({error}): replace or remove it")
