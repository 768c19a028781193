"""A validation set taken from the training set; the test set is never touched."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._errors import UsageError
from ._base import Dataset


class Part(NamedTuple):
    """Some examples of the training set: `x[index]`, `y[index]`, and `index` itself, ascending."""

    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]


def split_validation(dataset: Dataset, size: float | int, seed: int = 0) -> tuple[Part, Part]:
    """The training part and the validation part of the training set.

    `size` is a fraction (0 < size < 1) or a count (a whole number from 1). Classes keep their
    shares to within one example; which examples are chosen depends on `seed` alone.
    Raises `UsageError` if one of the parts would be empty.
    """
    total = len(dataset.y_train)
    count = 0
    if 0 < size < 1:
        count = round(size * total)
    elif float(size).is_integer():
        count = int(size)
    if not 0 < count < total:
        raise UsageError(
            f"a validation set of {size:g} cannot be taken from the {total} training examples of "
            f"{dataset.name}: give a fraction between 0 and 1 or a count from 1 to {total - 1}, "
            f"so that both parts hold examples"
        )
    chosen = _stratified(dataset.y_train, count, seed)
    return _part(dataset, np.flatnonzero(~chosen)), _part(dataset, np.flatnonzero(chosen))


def _part(dataset: Dataset, index: npt.NDArray[np.int64]) -> Part:
    return Part(dataset.x_train[index], dataset.y_train[index], index)


def _stratified(y: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.bool_]:
    """A mask of `count` examples with the shares of the classes (largest remainders)."""
    sizes = np.bincount(y)
    shares = sizes * (count / len(y))
    quota = np.floor(shares).astype(np.int64)
    rest = count - int(quota.sum())
    quota[np.argsort(quota - shares, kind="stable")[:rest]] += 1
    order = np.random.default_rng(seed).permutation(len(y))
    chosen = np.zeros(len(y), bool)
    for label, wanted in enumerate(quota):
        chosen[order[y[order] == label][:wanted]] = True
    return chosen
