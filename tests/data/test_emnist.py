"""EMNIST balanced: members of one archive, brought upright."""

import gzip

import numpy as np
import pytest
from small_files import describe, idx, put, zipped

from metaplastic._errors import DataError
from metaplastic.data import emnist, load

RNG = np.random.default_rng(0)
SHAPES = {"train": (6, 28, 28), "test": (3, 28, 28)}
IMAGES = {split: RNG.integers(0, 256, shape, np.uint8) for split, shape in SHAPES.items()}
LABELS = {"train": np.array([2, 1, 0, 0, 1, 2]), "test": np.array([0, 2, 1])}


def members() -> dict[str, bytes]:
    found = {"gzip/emnist-letters-train-images-idx3-ubyte.gz": b"not ours"}
    for split in IMAGES:
        stored = idx(IMAGES[split].transpose(0, 2, 1)), idx(LABELS[split])
        for what, content in zip(("images-idx3", "labels-idx1"), stored, strict=True):
            found[f"gzip/emnist-balanced-{split}-{what}-ubyte.gz"] = gzip.compress(content)
    return found


def placed(content: bytes, monkeypatch, tmp_path):
    put(describe(emnist, {"gzip.zip": content}, monkeypatch), tmp_path / "cache" / "emnist")


def test_images_stand_upright(monkeypatch, tmp_path):
    placed(zipped(members()), monkeypatch, tmp_path)
    data = load("emnist", offline=True)
    np.testing.assert_array_equal(data.x_train, IMAGES["train"])
    np.testing.assert_array_equal(data.x_test, IMAGES["test"])
    np.testing.assert_array_equal(data.y_train, LABELS["train"])
    np.testing.assert_array_equal(data.y_test, LABELS["test"])
    assert data.x_train.flags.c_contiguous and data.scale == 255


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK no zip", "is not a whole zip file"),
        (zipped({"gzip/readme": b""}), "is another archive .*emnist-balanced-train-images"),
        (
            zipped(members() | {"gzip/emnist-balanced-test-labels-idx1-ubyte.gz": b"no"}),
            "emnist-balanced-test-labels-idx1-ubyte.gz is not a whole gzip file",
        ),
    ],
)
def test_other_archives_are_refused_with_the_remedy(monkeypatch, tmp_path, content, message):
    placed(content, monkeypatch, tmp_path)
    with pytest.raises(DataError, match=f"{message}.*metaplastic data fetch emnist"):
        load("emnist", offline=True)


def test_without_archive_and_network():
    with pytest.raises(DataError, match=r"emnist needs gzip\.zip.*biometrics\.nist\.gov"):
        load("emnist", offline=True)
