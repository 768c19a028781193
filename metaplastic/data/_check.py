"""From arrays that someone stored to a `Dataset` that can be trained on, or one sentence."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import DataError
from ._base import Arrays, Dataset

REMAP = (
    "remap them with names, y_train = np.unique(y_train, return_inverse=True) and "
    "y_test = np.searchsorted(names, y_test)"
)


def as_dataset(
    arrays: Arrays, *, name: str, where: str, source: str, licence: str, scale: float | None = None
) -> Dataset:
    """Check the arrays and bring them to the types of `Dataset`.

    `where` begins every message. `scale=None` is 255 for uint8 and 1 for anything else.
    """
    _check_lengths(arrays, where)
    x_train, x_test = _check_inputs(arrays, where)
    y_train = _whole_numbers(arrays.y_train, f"{where}: y_train")
    y_test = _whole_numbers(arrays.y_test, f"{where}: y_test")
    classes = _check_classes(y_train, y_test, where)
    if scale is None:
        scale = 255.0 if arrays.x_train.dtype == np.uint8 else 1.0
    return Dataset(
        name=name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=classes,
        scale=float(scale),
        source=source,
        licence=licence,
    )


def _check_lengths(arrays: Arrays, where: str) -> None:
    for split in ("train", "test"):
        x, y = getattr(arrays, f"x_{split}"), getattr(arrays, f"y_{split}")
        if 0 in (*x.shape[:1], *y.shape[:1]):
            raise DataError(
                f"{where}: the {split} split is empty (x_{split} {x.shape}, y_{split} {y.shape}): "
                f"give it at least one example"
            )
        if y.ndim != 1:
            fix = "np.argmax(y, axis=1)" if y.ndim == 2 and y.shape[1] > 1 else "np.ravel(y)"
            raise DataError(
                f"{where}: y_{split} has the shape {y.shape} and must be one class per example, "
                f"[n]: convert it with {fix}"
            )
        if x.ndim < 2 or x.ndim > 4 or 0 in x.shape[1:]:
            raise DataError(
                f"{where}: x_{split} has the shape {x.shape} and must be [n, features], "
                f"[n, h, w] or [n, h, w, channels]: reshape it"
            )
        if len(x) != len(y):
            raise DataError(
                f"{where}: x_{split} has {len(x)} examples and y_{split} has {len(y)}: "
                f"give every example one label"
            )


def _check_inputs(arrays: Arrays, where: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    x_train, x_test = arrays.x_train, arrays.x_test
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{where}: an example of x_train has the shape {x_train.shape[1:]} and one of x_test "
            f"{x_test.shape[1:]}: give both the same"
        )
    if (
        x_train.ndim == 4
        and x_train.shape[1] in (1, 3)
        and 4 < x_train.shape[2] == x_train.shape[3]
    ):
        raise DataError(
            f"{where}: x_train {x_train.shape} has its channels before height and width: "
            f"move them last with np.moveaxis(x, 1, -1)"
        )
    if (x_train.dtype == np.uint8) != (x_test.dtype == np.uint8):
        raise DataError(
            f"{where}: x_train is {x_train.dtype} and x_test is {x_test.dtype}, so their scales "
            f"differ: store both as uint8 (0..255) or both as float32"
        )
    return _numbers(x_train, f"{where}: x_train"), _numbers(x_test, f"{where}: x_test")


def _numbers(x: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    """`x` as it is for uint8, else as finite float32."""
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind not in "fb":
        raise DataError(
            f"{what} is {x.dtype}, whose scale is unknown: store images as uint8 (0..255) and "
            f"features as float32, for example with x.astype(np.float32)"
        )
    with np.errstate(over="ignore"):
        single = x.astype(np.float32, copy=False)
    finite = np.isfinite(single)
    if not finite.all():
        first = np.unravel_index(int(np.argmin(finite)), x.shape)
        index = ", ".join(str(i) for i in first)
        raise DataError(
            f"{what}[{index}] is {x[first]}, not a finite float32 ({np.sum(~finite)} of {x.size} "
            f"values are not): remove or fill such values"
        )
    return single


def _whole_numbers(y: npt.NDArray[Any], what: str) -> npt.NDArray[np.int64]:
    """Labels as int64, if they are whole numbers by value."""
    if y.dtype.kind not in "iubf":
        raise DataError(f"{what} is {y.dtype} ({_some(y)}), not integers 0..K-1: {REMAP}")
    if y.dtype.kind == "f":
        wrong = ~(np.isfinite(y) & (y == np.round(y)))
        if wrong.any():
            i = int(np.argmax(wrong))
            raise DataError(f"{what}[{i}] is {y[i]}, not an integer 0..K-1: {REMAP}")
    if np.any(np.abs(y.astype(np.float64)) > 2**53):
        raise DataError(f"{what} holds numbers beyond 2^53 ({_some(y)}), not 0..K-1: {REMAP}")
    return y.astype(np.int64)


def _check_classes(
    y_train: npt.NDArray[np.int64], y_test: npt.NDArray[np.int64], where: str
) -> int:
    """K, if the training labels are exactly 0..K-1 and the test labels are among them."""
    found = np.unique(y_train)
    if len(found) == 1:
        raise DataError(
            f"{where}: y_train holds one class only ({found[0]}): there is nothing to tell apart, "
            f"give at least two"
        )
    if found[0] != 0 or found[-1] != len(found) - 1:
        raise DataError(
            f"{where}: y_train holds {len(found)} classes {_some(found)}, not 0..{len(found) - 1}: "
            f"{REMAP}"
        )
    strange = np.setdiff1d(y_test, found)
    if len(strange):
        raise DataError(
            f"{where}: y_test holds {_some(strange)}, which y_train (0..{found[-1]}) never shows: "
            f"remove those examples or put some of them into the training set"
        )
    return len(found)


def _some(values: npt.NDArray[Any]) -> str:
    """The first distinct values, for a message."""
    try:
        values = np.unique(values)
    except TypeError:
        return "of mixed kinds"
    shown = ", ".join(str(v) for v in values[:5])
    return f"{shown}, … {values[-1]}" if len(values) > 6 else ", ".join(str(v) for v in values)
