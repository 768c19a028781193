"""The IDX reader: what is written is read, and nothing else is taken for an IDX file."""

import functools
import gzip

import numpy as np
import pytest
from small_files import idx, put

from metaplastic.data import FormatError
from metaplastic.data._idx import read_file, read_folder


@pytest.mark.parametrize("shape", [(7,), (3, 5, 4), (2, 28, 28)])
def test_reads_what_was_written(tmp_path, shape):
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = tmp_path / "a.gz"
    path.write_bytes(compress(idx(values)))
    np.testing.assert_array_equal(read_file(path, len(shape)), values)


def test_reads_bytes_spelt_out(tmp_path):
    # Two images of 1x2: written by hand, so that the byte order is not only its own mirror image.
    content = bytes.fromhex("00000803 00000002 00000001 00000002 01020304")
    path = tmp_path / "a.gz"
    path.write_bytes(compress(content))
    np.testing.assert_array_equal(read_file(path, 3), [[[1, 2]], [[3, 4]]])


def test_folder_has_images_and_labels_of_both_splits(tmp_path, small_mnist):
    arrays = read_folder(put(small_mnist, tmp_path))
    assert arrays.x_train.shape == (20, 28, 28) and arrays.x_test.shape == (10, 28, 28)
    np.testing.assert_array_equal(arrays.y_train, np.arange(20) % 10)
    np.testing.assert_array_equal(arrays.y_test, np.arange(10))


# Without the time, which would make tests of two processes differ in their names.
compress = functools.partial(gzip.compress, mtime=0)
GOOD = idx(np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (compress(GOOD)[:-9], "not a whole gzip file"),
        (b"<html>not found</html>", "not a whole gzip file"),
        (compress(b"\x00\x00\x0d\x03" + GOOD[4:]), "begins with 00 00 0d 03"),
        (compress(idx(np.zeros(24))), "begins with 00 00 08 01"),
        (compress(GOOD[:9]), "not an IDX file"),
        (compress(b""), "begins with nothing"),
        (compress(GOOD[:-1]), "announces 24 values .* holds 23"),
        (compress(GOOD + b"\0"), "announces 24 values .* holds 25"),
    ],
)
def test_refuses_other_files(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        read_file(path, 3)
    assert str(path) in str(caught.value)
