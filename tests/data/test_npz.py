"""One's own `.npz`: what is accepted, and one sentence for everything that is not."""

import numpy as np
import pytest

from metaplastic._errors import DataError
from metaplastic.data import load


def arrays(**changes):
    """A sound file of 6 + 4 images of 4x5 in 3 classes, with some arrays changed."""
    rng = np.random.default_rng(0)
    good = {
        "x_train": rng.integers(0, 256, (6, 4, 5), np.uint8),
        "y_train": np.arange(6) % 3,
        "x_test": rng.integers(0, 256, (4, 4, 5), np.uint8),
        "y_test": np.array([2, 0, 0, 1]),
    }
    return good | changes


@pytest.fixture
def mine(tmp_path):
    def write(**changes):
        content = {k: v for k, v in arrays(**changes).items() if v is not None}
        np.savez(tmp_path / "mine.npz", **content)
        return tmp_path / "mine.npz"

    return write


def floats(n=6):
    return np.random.default_rng(1).normal(size=(n, 7))


def test_images_keep_their_type(mine):
    data = load(mine())
    expected = arrays()
    np.testing.assert_array_equal(data.x_train, expected["x_train"])
    assert data.x_train.dtype == np.uint8 and data.y_test.dtype == np.int64
    assert (data.name, data.shape, data.classes, data.scale) == ("mine", (4, 5, 1), 3, 255)
    assert "mine.npz" in data.source


def test_double_features_become_single_with_scale_one(mine):
    data = load(mine(x_train=floats(), x_test=floats(4)))
    assert data.x_train.dtype == np.float32 and data.shape == (7,) and data.scale == 1
    np.testing.assert_allclose(data.x_train, floats(), rtol=1e-6)


def test_binary_images_become_zeros_and_ones(mine):
    data = load(mine(x_train=floats() > 0, x_test=floats(4) > 0))
    np.testing.assert_array_equal(data.x_train, (floats() > 0).astype(np.float32))
    assert data.scale == 1


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float64, np.uint64])
def test_labels_that_are_whole_by_value(mine, kind):
    data = load(mine(y_train=arrays()["y_train"].astype(kind)))
    assert data.y_train.dtype == np.int64
    np.testing.assert_array_equal(data.y_train, np.arange(6) % 3)


def poisoned(value):
    x = floats().astype(np.float32)
    x[2, 5] = value
    return x


def objects(values):
    out = np.empty(len(values), object)
    out[:] = values
    return out


LABELS = np.arange(6) % 3
REFUSED = {
    "nan": ({"x_train": poisoned(np.nan), "x_test": floats(4)}, r"x_train\[2, 5\] is nan"),
    "inf": ({"x_train": floats(4), "y_train": LABELS[:4], "x_test": poisoned(np.inf),
             "y_test": LABELS}, r"x_test\[2, 5\] is inf"),
    "beyond float32": ({"x_train": floats() * 1e300, "x_test": floats(4)}, "not a finite float32"),
    "missing key": ({"y_test": None}, r"has no y_test \(it holds x_train, y_train, x_test\)"),
    "object x": ({"x_train": objects([[1.0]] * 6)}, "x_train is an array of Python objects"),
    "object y": ({"y_train": objects(["a"] * 6)}, r"y_train is .* objects.*astype\(np.int64\)"),
    "text": ({"y_train": np.array(list("abcabc"))}, r"<U1 \(a, b, c\).*return_inverse=True"),
    "fractions": ({"y_train": LABELS + 0.5}, r"y_train\[0\] is 0.5, not an integer"),
    "nan label": ({"y_test": np.array([0, np.nan, 1, 2])}, r"y_test\[1\] is nan"),
    "from one": ({"y_train": LABELS + 1}, "3 classes 1, 2, 3, not 0..2.*return_inverse=True"),
    "gap": ({"y_train": LABELS * 2}, "3 classes 0, 2, 4, not 0..2"),
    "negative": ({"y_train": LABELS - 1}, "3 classes -1, 0, 1, not 0..2"),
    "huge": ({"y_train": np.full(6, 2**64 - 1, np.uint64)}, "beyond 2.53"),
    "test label": ({"y_test": np.array([0, 1, 2, 9])}, r"y_test holds 9, which y_train \(0..2\)"),
    "one class": ({"y_train": LABELS * 0}, r"one class only \(0\)"),
    "one odd class": ({"y_train": LABELS * 0 + 5}, r"one class only \(5\)"),
    "empty train": ({"x_train": np.zeros((0, 4, 5), np.uint8), "y_train": LABELS[:0]},
                    "the train split is empty"),
    "empty test": ({"x_test": np.array([]), "y_test": np.array([])}, "the test split is empty"),
    "lengths": ({"y_train": LABELS[:5]}, "x_train has 6 examples and y_train has 5"),
    "shapes": ({"x_test": np.zeros((4, 5, 5), np.uint8)}, r"\(4, 5\) and one of x_test \(5, 5\)"),
    "types": ({"x_test": np.zeros((4, 4, 5), np.float32)}, "uint8 and x_test is float32"),
    "flat": ({"x_train": np.zeros(6, np.uint8)}, r"x_train has the shape \(6,\)"),
    "too deep": ({"x_train": np.zeros((6, 1, 1, 1, 1), np.uint8)}, "has the shape"),
    "no features": ({"x_train": np.zeros((6, 0))}, r"x_train has the shape \(6, 0\)"),
    "one-hot": ({"y_train": np.eye(3)[LABELS]}, r"shape \(6, 3\).*np.argmax"),
    "column": ({"y_train": LABELS[:, None]}, r"shape \(6, 1\).*np.ravel"),
    "integers": ({"x_train": np.ones((6, 4, 5), np.int64), "x_test": np.ones((4, 4, 5), np.int64)},
                 "x_train is int64, whose scale is unknown"),
    "complex": ({"x_train": floats() * 1j, "x_test": floats(4)}, "x_train is complex128"),
    "channels first": ({"x_train": np.zeros((6, 3, 8, 8), np.uint8),
                        "x_test": np.zeros((4, 3, 8, 8), np.uint8)}, r"np.moveaxis\(x, 1, -1\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_one_sentence(mine, case):
    changes, message = REFUSED[case]
    path = mine(**changes)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_remapping_as_advised_is_then_accepted(mine):
    y_train, y_test = np.array(list("xbaxba")), np.array(list("baxx"))
    names, y_train = np.unique(y_train, return_inverse=True)
    y_test = np.searchsorted(names, y_test)
    data = load(mine(y_train=y_train, y_test=y_test))
    assert [names[i] for i in data.y_test] == list("baxx")


@pytest.mark.parametrize("cut", [10, 400, -1])
def test_truncated_file(mine, cut):
    path = mine()
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"not a whole \.npz file"):
        load(path)


def test_flipped_byte(mine):
    path = mine()
    content = bytearray(path.read_bytes())
    start = content.index(arrays()["x_train"].tobytes())
    content[start + 7] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        load(path)


def test_other_kinds_of_files(tmp_path):
    path = tmp_path / "mine.npz"
    with pytest.raises(DataError, match="no file"):
        load(path)
    path.write_text("x_train,y_train")
    with pytest.raises(DataError, match=r"not a whole \.npz"):
        load(path)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(DataError, match=r"not a whole \.npz"):
        load(path)
