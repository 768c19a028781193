"""Images by class where meta-training and meta-testing have all classes, and other images."""

import numpy as np

from .._errors import UsageError
from ._base import Dataset
from ._classes import ImageClasses, gather, read_examples


def load_shared_classes(
    name_or_path: str,
    *,
    test_images: int | None = None,
    side: int | None = None,
    offline: bool | None = None,
) -> tuple[ImageClasses, ImageClasses]:
    """All classes twice, with other images: of each class, the last `test_images` of a fixed
    shuffled order are kept for meta-testing, half of them where it is not given.

    `name_or_path` and errors are those of `load_classes`; raises `UsageError` where a class has
    not so many images.
    """
    name, x, y, scale, _ = read_examples(name_or_path, side, offline)
    own = gather(name, x, y, scale, range(int(y.max()) + 1), side)
    fewest = int(own.counts.min())
    if test_images is not None and not 0 < test_images < fewest:
        raise UsageError(
            f"--task.test-images {test_images}: {name} has a class of {fewest} images, keep "
            f"between 1 and {fewest - 1} of each for meta-testing"
        )
    if fewest < 2:
        raise UsageError(f"{name} has a class of one image, which cannot be split in two parts")
    kept = own.counts // 2 if test_images is None else np.full_like(own.counts, test_images)
    order = np.random.default_rng(0).permutation(len(own.images))
    rank = np.empty_like(order)  # within its class, in the shuffled order
    classes = np.repeat(np.arange(len(own.counts)), own.counts)
    order = order[np.argsort(classes[order], kind="stable")]
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(own.counts) - own.counts, own.counts)
    for_test = rank >= (own.counts - kept)[classes]
    return (
        ImageClasses(name, own.images[~for_test], own.counts - kept, scale),
        ImageClasses(name, own.images[for_test], kept, scale),
    )


def by_class(dataset: Dataset, side: int | None = None) -> tuple[ImageClasses, ImageClasses]:
    """The training set and the test set of a data set, each with its images by class."""
    every = range(dataset.classes)
    train, test = (
        gather(dataset.name, x.reshape(len(x), *dataset.shape), y, dataset.scale, every, side)
        for x, y in ((dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test))
    )
    return train, test
