"""Images by class, with some classes for meta-training and others for meta-testing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import UsageError, unknown
from . import _npz
from ._base import Split
from ._folder import read_folder
from ._load import load, published, source
from ._pickles import refusal
from ._resize import resize


@dataclass(frozen=True, eq=False)
class ImageClasses:
    """Some classes of a data set: their images, one class after the other.

    `images` is [n, height, width, channels], or [n, features], in the type of the data set; the
    first `counts[0]` are of class 0, and so on. `images / scale` is what a network sees.
    """

    name: str
    images: npt.NDArray[Any] = field(repr=False)
    counts: npt.NDArray[np.int64] = field(repr=False)
    scale: float

    def record(self) -> dict[str, Any]:
        """What a run record says of them; nothing but plain JSON types."""
        digest = hashlib.sha256(f"{self.images.dtype.str} {self.images.shape};".encode())
        digest.update(np.ascontiguousarray(self.counts).data)
        digest.update(np.ascontiguousarray(self.images).data)
        return {
            "sha256": digest.hexdigest(),
            "classes": len(self.counts),
            "images": len(self.images),
        }


def load_classes(
    name_or_path: str,
    *,
    split: str | None = None,
    test_classes: int | None = None,
    side: int | None = None,
    offline: bool | None = None,
) -> tuple[ImageClasses, ImageClasses]:
    """Classes for meta-training and classes for meta-testing of any set of labelled examples.

    `name_or_path` is a data set, a folder with one folder of images a class, or an `.npz` with
    `x_train, y_train, x_test, y_test`, or with `train` and `test` as uint8 arrays [classes, images,
    height, width(, channels)]. Training and test examples of a class are pooled. The classes are
    split by `split` (a published one, its folders or arrays), or the last `test_classes` of a fixed
    shuffled order are kept for meta-testing; without either by the first published split, else in
    two halves. `side` is the size to which images are brought.

    Raises `UsageError` for a split that there is not, `DataError` as `load` does.
    """
    if split is not None and test_classes is not None:
        raise UsageError(
            f"--task.split {split} and --task.test-classes {test_classes} both split the classes: "
            "give one of them"
        )
    name, x, y, scale, splits = read_examples(name_or_path, side, offline)
    parts = _choose(name, int(y.max()) + 1, splits, split, test_classes)
    train, test = (gather(name, x, y, scale, classes, side) for classes in parts)
    return train, test


def read_examples(
    text: str, side: int | None, offline: bool | None
) -> tuple[str, npt.NDArray[Any], npt.NDArray[np.int64], float, dict[str, Split]]:
    """`(name, examples, classes, scale, splits)`, training and test examples pooled."""
    path = Path(text).expanduser()
    if path.is_dir() and path.name != text:
        folder = read_folder(path, side)
        return path.name, folder.x, folder.y, 255.0, folder.splits
    if path.suffix in _npz.PICKLES:
        raise refusal(path, ("train", "test"))
    if path.suffix == ".npz" and _npz.holds(path, ("train", "test")):
        return _read_stacks(path)
    dataset = load(text, offline=offline)
    x = np.concatenate([dataset.x_train, dataset.x_test])
    y = np.concatenate([dataset.y_train, dataset.y_test])
    splits = dict(source(text).splits) if text in published() else {}
    return dataset.name, x.reshape(len(x), *dataset.shape), y, dataset.scale, splits


def _read_stacks(
    path: Path,
) -> tuple[str, npt.NDArray[Any], npt.NDArray[np.int64], float, dict[str, Split]]:
    keys = ["train", "test"]
    if _npz.holds(path, ("val",)):
        keys.insert(1, "val")
    stacks = _npz.read_stacks(path, keys)
    shape = stacks[0].shape[2:]
    shape = (*shape, 1) if len(shape) == 2 else shape
    x = np.concatenate([stack.reshape(-1, *shape) for stack in stacks])
    x = x.view(np.uint8) * np.uint8(255) if x.dtype == bool else x
    ends = np.cumsum([len(stack) for stack in stacks])
    y = np.repeat(np.arange(ends[-1]), np.concatenate([[s.shape[1]] * len(s) for s in stacks]))
    parts = {
        key: tuple(range(end - len(stack), end))
        for key, stack, end in zip(keys, stacks, ends.tolist(), strict=True)
    }
    splits: dict[str, Split] = {"arrays": (parts["train"], parts["test"])}
    if "val" in parts:
        splits["validation"] = (parts["train"], parts["val"])
    return path.stem, x, y, 255.0, splits


def _choose(
    name: str,
    classes: int,
    splits: dict[str, Split],
    split: str | None,
    test_classes: int | None,
) -> Split:
    if split is not None:
        if split not in splits:
            raise unknown(f"split of {name}", split, splits)
        return splits[split]
    if test_classes is not None:
        if not 0 < test_classes < classes:
            raise UsageError(
                f"--task.test-classes {test_classes}: {name} has {classes} classes, keep between 1 "
                f"and {classes - 1} of them for meta-testing"
            )
        order = np.random.default_rng(0).permutation(classes)
        return order[:-test_classes].tolist(), order[-test_classes:].tolist()
    if splits:
        return next(iter(splits.values()))
    half = (classes + 1) // 2
    return range(half), range(half, classes)


def gather(
    name: str,
    x: npt.NDArray[Any],
    y: npt.NDArray[np.int64],
    scale: float,
    classes: Sequence[int],
    side: int | None,
) -> ImageClasses:
    """The examples of some classes, one class after the other, at the size that is asked for."""
    rank = np.full(max(int(y.max()), *classes) + 1, -1)
    rank[list(classes)] = np.arange(len(classes))
    rows = np.flatnonzero(rank[y] >= 0)
    rows = rows[np.argsort(rank[y[rows]], kind="stable")]
    images = x[rows]
    if side is not None:
        if images.ndim != 4:
            raise UsageError(
                f"--task.resize needs images, {name} has examples of shape {images.shape[1:]}"
            )
        images = resize(images, side)
    return ImageClasses(name, images, np.bincount(rank[y[rows]], minlength=len(classes)), scale)
