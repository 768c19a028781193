"""The reader of CIFAR's binary version: planes to channels, members by exact name, in memory."""

import io
import tarfile

import numpy as np
import pytest
from small_files import put, tar_gz

from metaplastic.data import FormatError, load
from metaplastic.data._cifar import read_archive


def pixel(member: bytes, label_bytes: int, image: int, row: int, column: int) -> list[int]:
    """Red, green, blue of one pixel, by the published layout and plain indexing."""
    start = image * (label_bytes + 3072) + label_bytes
    return [member[start + plane * 1024 + row * 32 + column] for plane in range(3)]


def test_cifar10_is_read_plane_by_plane_and_batch_by_batch(small_cifar10, tmp_path):
    members, contents = small_cifar10
    put(contents, tmp_path / "cache" / "cifar10")
    data = load("cifar10", offline=True)
    assert data.x_train.shape == (20, 32, 32, 3) and data.x_train.dtype == np.uint8
    np.testing.assert_array_equal(data.y_train, (np.arange(20) + 4) % 10)
    np.testing.assert_array_equal(data.y_test, np.arange(6))
    third = members["cifar-10-batches-bin/data_batch_3.bin"]
    assert data.x_train[8 + 1, 5, 17].tolist() == pixel(third, 1, 1, 5, 17)
    assert data.shape == (32, 32, 3) and data.scale == 255 and data.classes == 10


def test_cifar100_has_the_fine_labels(small_cifar100, tmp_path):
    members, contents = small_cifar100
    put(contents, tmp_path / "cache" / "cifar100")
    data = load("cifar100", offline=True)
    np.testing.assert_array_equal(data.y_train, np.arange(8) % 4)
    test = members["cifar-100-binary/test.bin"]
    assert data.x_test[4, 31, 0].tolist() == pixel(test, 2, 4, 31, 0)


RECORD = bytes(3073)


def read(path):
    return read_archive(path, train=["a.bin"], test=["b.bin"], label_bytes=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar_gz({"a.bin": RECORD}), "lacks b.bin"),
        (tar_gz({"a.bin": RECORD, "../b.bin": RECORD}), "lacks b.bin"),
        (tar_gz({"a.bin": RECORD, "b.bin": RECORD[:-1]}), "b.bin has 3072 bytes"),
        (tar_gz({"a.bin": RECORD, "b.bin": b""}), "b.bin has 0 bytes"),
        (tar_gz({"a.bin": np.random.default_rng(0).bytes(3073)})[:-900], "not a whole tar.gz"),
        (b"nothing of the kind", "not a whole tar.gz"),
    ],
)
def test_refuses_other_archives(tmp_path, content, message):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_links_and_doubles_are_not_followed(tmp_path):
    path = tmp_path / "x.tar.gz"
    link = tarfile.TarInfo("b.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(link)
    with pytest.raises(FormatError, match=r"b\.bin twice or not as a plain file"):
        read(path)
    info = tarfile.TarInfo("a.bin")
    info.size = len(RECORD)
    with tarfile.open(path, "w:gz") as archive:
        for _ in range(2):
            archive.addfile(info, io.BytesIO(RECORD))
    with pytest.raises(FormatError, match=r"a\.bin twice"):
        read(path)


def test_nothing_is_unpacked(tmp_path):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tar_gz({"a.bin": RECORD, "b.bin": RECORD}))
    assert read(path).x_train.shape == (1, 32, 32, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["x.tar.gz"]
