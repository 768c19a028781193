"""Omniglot: archives of PNGs, its own `.npz`, and the official splits by character number."""

import numpy as np
import pytest
from small_files import describe, grey_png, put, zipped

from metaplastic._errors import DataError
from metaplastic.data import load, load_classes, omniglot, status

RNG = np.random.default_rng(0)
DRAWN = {number: RNG.random((20, 6, 5)) > 0.5 for number in range(1, 6)}


def archive(folder: str, numbers, *, drawings: int = 20) -> bytes:
    members = {f"{folder}/": b"", f"__MACOSX/{folder}/Greek/character01/._0001_01.png": b"junk"}
    for number in reversed(list(numbers)):
        for drawing in range(drawings):
            name = (
                f"{folder}/Alphabet_{number % 2}/character{number:02}/{number:04}_{drawing + 1:02}"
            )
            members[f"{name}.png"] = grey_png(DRAWN[number][drawing].astype(np.uint8))
    return zipped(members)


def small(monkeypatch, **changes):
    contents = {
        "images_background.zip": archive("images_background", (1, 2, 3)),
        "images_evaluation.zip": archive("images_evaluation", (4, 5)),
    }
    return describe(omniglot, contents | changes, monkeypatch, mirrors=())


def test_archives_become_classes_by_number(monkeypatch, tmp_path):
    put(small(monkeypatch), tmp_path / "cache" / "omniglot")
    data = load("omniglot", offline=True)
    assert data.x_train.shape == (5 * 15, 6, 5) and data.x_test.shape == (5 * 5, 6, 5)
    assert (data.classes, data.scale, data.x_train.dtype) == (5, 255, np.uint8)
    for number, drawn in DRAWN.items():
        ink = np.where(drawn, 255, 0)
        np.testing.assert_array_equal(data.x_train[data.y_train == number - 1], ink[:15])
        np.testing.assert_array_equal(data.x_test[data.y_test == number - 1], ink[15:])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK no zip", "not a whole zip file"),
        (zipped({"images_evaluation/readme": b""}), "equally many drawings"),
        (zipped({"images_evaluation/a/0004_01.png": b"no"}), "0004_01.png is not a PNG"),
    ],
)
def test_other_archives_are_refused_with_the_remedy(monkeypatch, tmp_path, content, message):
    put(small(monkeypatch, **{"images_evaluation.zip": content}), tmp_path / "cache" / "omniglot")
    with pytest.raises(DataError, match=f"{message}.*metaplastic data fetch omniglot"):
        load("omniglot", offline=True)


def test_without_files_and_network():
    with pytest.raises(DataError, match=r"omniglot needs images_background\.zip.*offline"):
        load_classes("omniglot", offline=True)


def test_own_file_of_drawings_by_character(monkeypatch, tmp_path):
    shapes = {"background": (964, 20, 2, 2), "evaluation": (659, 20, 2, 2)}
    stacks = {k: RNG.random(shape) > 0.5 for k, shape in shapes.items()}
    np.savez(tmp_path / "omniglot.npz", **stacks)
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    assert {s.name: s.state for s in status()}["omniglot"] == "own file"
    train, test = load_classes("omniglot")
    assert len(train.counts) == 964 and len(test.counts) == 659
    ink = np.where(stacks["evaluation"][7], 255, 0)[..., None]
    np.testing.assert_array_equal(test.images[7 * 20 : 8 * 20], ink)
    small1, small2 = load_classes("omniglot", split="small")
    assert len(small1.counts) == 136 and len(small2.counts) == 106
    latin = np.where(stacks["background"][682], 255, 0)[..., None]
    np.testing.assert_array_equal(small1.images[-26 * 20 : -25 * 20], latin)


def test_splits_are_disjoint_and_of_the_published_sizes():
    for name, sizes in {"background": (964, 659), "small": (136, 106)}.items():
        train, test = omniglot.SOURCE.splits[name]
        assert (len(set(train)), len(set(test))) == sizes == (len(train), len(test))
        assert not set(train) & set(test)
    assert max(max(part) for part in omniglot.SOURCE.splits["small"]) < 964
