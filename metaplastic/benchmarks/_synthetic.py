"""Made-up data of a real data set's shape; the time of a step does not depend on what it shows."""

import numpy as np

from ..data import Dataset


def images(count: int, *shape: int, classes: int = 10, seed: int = 0) -> Dataset:
    """uint8 noise, `count` training examples and as many labels."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (count, *shape), np.uint8)
    y = (np.arange(count) % classes).astype(np.int64)
    return Dataset(
        name="noise",
        x_train=x,
        y_train=y,
        x_test=x[:classes],
        y_test=y[:classes],
        classes=classes,
        scale=255.0,
        source="made up",
        licence="none",
    )
