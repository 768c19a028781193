"""Small data for the trainer, in which an example tells its own index."""

import numpy as np

from metaplastic.data import Dataset

COUNT, CLASSES = 23, 3


def _numbered(first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Examples `[index, noise, noise]` and labels that three features can tell apart."""
    rng = np.random.default_rng(first)
    y = np.arange(count) % CLASSES
    noise = rng.normal(size=(count, 2)) + np.stack([y == 0, y == 1], 1) * 2
    x = np.column_stack([np.arange(first, first + count), noise])
    return x.astype(np.float32), y


def small_dataset(count: int = COUNT, test: int = 7, **changes) -> Dataset:
    """Training examples 0..count-1 and test examples from 1000 on."""
    x, y = _numbered(0, count)
    x_test, y_test = _numbered(1000, test)
    own = dict(name="small", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    own |= dict(classes=CLASSES, scale=1.0, source="small", licence="") | changes
    return Dataset(**own)


def image_dataset(count: int = 12, side: int = 6, channels: int = 1, **changes) -> Dataset:
    """Images of random bytes, all different."""
    rng = np.random.default_rng(0)
    shape = (side, side) if channels == 1 else (side, side, channels)
    x = rng.integers(0, 256, (count + 5, *shape), np.uint8)
    y = np.arange(count + 5) % CLASSES
    own = dict(name="images", x_train=x[:count], y_train=y[:count], x_test=x[count:])
    own |= dict(y_test=y[count:], classes=CLASSES, scale=255.0, source="images", licence="")
    return Dataset(**(own | changes))
