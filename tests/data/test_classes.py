"""Images by class: folders, arrays by class, mini-ImageNet, and every labelled data set."""

import jax
import numpy as np
import pytest
from PIL import Image

from metaplastic._errors import DataError, UsageError
from metaplastic.data import load, load_classes, mini_imagenet
from metaplastic.data._resize import resize

RNG = np.random.default_rng(0)


def picture(path, *, size=(6, 6), mode="RGB", value=None):
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = (
        RNG.integers(0, 256, shape, np.uint8) if value is None else np.full(shape, value, np.uint8)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


# Labelled data sets


def test_classes_of_a_data_set_are_halved():
    digits = load("digits")
    train, test = load_classes("digits")
    for part, classes in ((train, range(5)), (test, range(5, 10))):
        start = 0
        for own, label in enumerate(classes):
            pooled = np.concatenate(
                [digits.x_train[digits.y_train == label], digits.x_test[digits.y_test == label]]
            )
            found = part.images[start : start + part.counts[own]]
            np.testing.assert_array_equal(found[..., 0], pooled)
            start += part.counts[own]
        assert start == len(part.images)
    assert train.scale == 16


def test_so_many_classes_of_a_fixed_order_are_kept():
    train, test = load_classes("digits", test_classes=3)
    assert (len(train.counts), len(test.counts)) == (7, 3)
    again = load_classes("digits", test_classes=3)[1]
    np.testing.assert_array_equal(test.images, again.images)
    whole = np.sort(np.concatenate([train.counts, test.counts]))
    digits = load("digits")
    sizes = np.bincount(np.concatenate([digits.y_train, digits.y_test]))
    np.testing.assert_array_equal(whole, np.sort(sizes))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_classes": 10}, "has 10 classes, keep between 1 and 9"),
        ({"test_classes": 0}, "--task.test-classes 0"),
        ({"split": "official"}, "unknown split of digits 'official'"),
        ({"split": "a", "test_classes": 2}, "both split the classes"),
    ],
)
def test_impossible_splits(options, message):
    with pytest.raises(UsageError, match=message):
        load_classes("digits", **options)


@pytest.mark.parametrize(("size", "side"), [(8, 3), (105, 28), (5, 9), (6, 6)])
def test_resizing_agrees_with_jax(size, side):
    images = RNG.normal(size=(3, size, size, 2)).astype(np.float32)
    expected = jax.image.resize(images, (3, side, side, 2), "linear")
    np.testing.assert_allclose(resize(images, side), expected, atol=1e-5)


def test_resizing_keeps_the_type():
    train, _ = load_classes("digits", side=5)
    assert (
        train.images.shape[1:] == (5, 5, 1) and train.images.dtype == load("digits").x_train.dtype
    )


def test_features_cannot_be_resized(tmp_path):
    x, y = RNG.normal(size=(8, 3)).astype(np.float32), np.arange(8) % 4
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    train, _ = load_classes(str(tmp_path / "a.npz"))
    assert train.images.shape == (8, 3) and train.counts.tolist() == [4, 4]
    with pytest.raises(UsageError, match=r"resize needs images, a has examples of shape \(3,\)"):
        load_classes(str(tmp_path / "a.npz"), side=4)


# Arrays by class


def test_arrays_by_class_bring_their_split(tmp_path):
    shapes = {"train": (3, 4, 5, 5, 3), "val": (2, 6, 5, 5, 3), "test": (2, 3, 5, 5, 3)}
    stacks = {k: RNG.integers(0, 256, shape, np.uint8) for k, shape in shapes.items()}
    np.savez(tmp_path / "mine.npz", **stacks)
    train, test = load_classes(str(tmp_path / "mine.npz"))
    assert train.counts.tolist() == [4, 4, 4] and test.counts.tolist() == [3, 3]
    np.testing.assert_array_equal(test.images.reshape(2, 3, 5, 5, 3), stacks["test"])
    _, valid = load_classes(str(tmp_path / "mine.npz"), split="validation")
    np.testing.assert_array_equal(valid.images.reshape(2, 6, 5, 5, 3), stacks["val"])


@pytest.mark.parametrize(
    ("stacks", "message"),
    [
        ({"train": np.zeros((2, 3, 4, 4))}, "train is float64"),
        ({"train": np.zeros((2, 4, 4), np.uint8)}, r"train is uint8 \(2, 4, 4\)"),
        ({"train": np.zeros((2, 3, 5, 5), np.uint8)}, "different sizes or types"),
        ({"train": np.array([None] * 4)}, "only unpickling could read"),
    ],
)
def test_other_arrays_are_refused(tmp_path, stacks, message):
    np.savez(tmp_path / "mine.npz", **({"test": np.zeros((2, 3, 4, 4), np.uint8)} | stacks))
    with pytest.raises(DataError, match=message):
        load_classes(str(tmp_path / "mine.npz"))


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(DataError, match=r"a\.pkl is a pickle, which can run any code.*np\.savez"):
        load_classes(str(path))
    assert not (tmp_path / "owned").exists()


# Folders


def test_folder_with_a_folder_a_class(tmp_path):
    cat = picture(tmp_path / "cat" / "2.png")
    picture(tmp_path / "cat" / "1.png")
    dog = picture(tmp_path / "pets" / "dog" / "a.jpeg", value=90)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    picture(tmp_path / "aside.png")
    train, test = load_classes(f"{tmp_path}/")
    assert train.counts.tolist() == [2] and test.counts.tolist() == [1]
    np.testing.assert_array_equal(train.images[1], cat)
    np.testing.assert_allclose(test.images[0], dog, atol=2)


def test_grey_folder_has_one_channel_and_mixed_ones_three(tmp_path):
    picture(tmp_path / "a" / "1.png", mode="L")
    grey = picture(tmp_path / "b" / "1.png", mode="L")
    np.testing.assert_array_equal(load_classes(f"{tmp_path}/")[1].images[0, ..., 0], grey)
    picture(tmp_path / "c" / "1.png")
    assert load_classes(f"{tmp_path}/")[0].images.shape == (2, 6, 6, 3)


def test_folders_named_train_and_test_are_the_split(tmp_path):
    for name in ("train/x", "train/y", "test/a", "val/b"):
        picture(tmp_path / name / "1.png", value=ord(name[-1]))
    train, test = load_classes(f"{tmp_path}/")
    assert train.images[:, 0, 0, 0].tolist() == [ord("x"), ord("y")]
    assert test.images[:, 0, 0, 0].tolist() == [ord("a")]
    assert load_classes(f"{tmp_path}/", split="validation")[1].images[0, 0, 0, 0] == ord("b")


def test_sizes_that_differ_need_one(tmp_path):
    picture(tmp_path / "a" / "1.png")
    picture(tmp_path / "b" / "1.png", size=(8, 6))
    with pytest.raises(DataError, match=r"b/1\.png is 8x6 and .*a/1\.png is 6x6.*--task\.resize"):
        load_classes(f"{tmp_path}/")
    assert load_classes(f"{tmp_path}/", side=4)[0].images.shape == (1, 4, 4, 3)


def test_folders_without_images_and_damaged_images(tmp_path):
    with pytest.raises(DataError, match="holds 0 folders with images"):
        load_classes(f"{tmp_path}/")
    picture(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_bytes((tmp_path / "a" / "1.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"b/1\.png is not a whole PNG or JPEG"):
        load_classes(f"{tmp_path}/")


# mini-ImageNet


def test_the_split_of_mini_imagenet():
    parts = (mini_imagenet.TRAIN, mini_imagenet.VALIDATION, mini_imagenet.TEST)
    assert [len(part) for part in parts] == [64, 16, 20]
    assert len({*parts[0], *parts[1], *parts[2]}) == 100


def test_mini_imagenet_from_arrays(tmp_path, monkeypatch):
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    sizes = {"train": 64, "val": 16, "test": 20}
    stacks = {k: RNG.integers(0, 256, (n, 3, 2, 2, 3), np.uint8) for k, n in sizes.items()}
    np.savez(tmp_path / "mini_imagenet.npz", **stacks)
    train, test = load_classes("mini_imagenet")
    np.testing.assert_array_equal(train.images.reshape(stacks["train"].shape), stacks["train"])
    np.testing.assert_array_equal(test.images.reshape(stacks["test"].shape), stacks["test"])
    valid = load_classes("mini_imagenet", split="validation")[1]
    np.testing.assert_array_equal(valid.images.reshape(stacks["val"].shape), stacks["val"])
    assert load("mini_imagenet").classes == 100
    np.savez(tmp_path / "mini_imagenet.npz", **(stacks | {"test": stacks["test"][:5]}))
    with pytest.raises(DataError, match=r"64, 16 and 5 classes.*64, 16 and 20"):
        load_classes("mini_imagenet")


def test_mini_imagenet_from_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    names = [*mini_imagenet.TRAIN, *mini_imagenet.VALIDATION, *mini_imagenet.TEST]
    for index, name in enumerate(names):
        for image in range(2):
            picture(tmp_path / "mini_imagenet" / name / f"{image}.png", value=index)
    train, test = load_classes("mini_imagenet")
    assert train.images.shape == (128, 84, 84, 3)
    assert train.images[:, 0, 0, 0].tolist() == np.repeat(np.arange(64), 2).tolist()
    assert test.images[:, 0, 0, 0].tolist() == np.repeat(np.arange(80, 100), 2).tolist()
    for file in (tmp_path / "mini_imagenet" / names[3]).iterdir():
        file.unlink()
    with pytest.raises(DataError, match=f"lacks 1 of the 100 classes.*{names[3]}"):
        load_classes("mini_imagenet")


def test_mini_imagenet_must_be_supplied_and_its_pickles_converted(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no address to be downloaded from: set METAPLASTIC_DATA"):
        load_classes("mini_imagenet")
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    (tmp_path / "mini-imagenet-cache-test.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match=r"cache-test\.pkl is a pickle.*class_dict.*savez|savez"):
        load_classes("mini_imagenet")


def test_its_pickles_are_recognised_wherever_they_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    pickle = tmp_path / "mini_imagenet" / "mini-imagenet-cache-train.pkl"
    pickle.parent.mkdir()
    pickle.write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    for asked in ("mini_imagenet", str(pickle)):
        with pytest.raises(DataError, match=r"cache-train\.pkl is a pickle.*class_dict"):
            load_classes(asked)
    with pytest.raises(DataError, match="class_dict"):
        load(str(pickle))
    other = tmp_path / "other.pkl"
    other.write_bytes(b"")
    with pytest.raises(DataError, match=r"savez\('other.npz', train=..., test=...\)"):
        load_classes(str(other))
    assert not (tmp_path / "owned").exists()
    sizes = {"train": 64, "val": 16, "test": 20}  # what the conversion leaves beside them
    stacks = {k: np.zeros((n, 2, 2, 2, 3), np.uint8) for k, n in sizes.items()}
    np.savez(pickle.parent / "mini_imagenet.npz", **stacks)
    assert len(load_classes("mini_imagenet")[0].counts) == 64


def test_the_conversion_that_is_advised_works(tmp_path, monkeypatch):
    import pickle
    import subprocess
    import sys

    images = {}
    for part, classes in (("train", 64), ("val", 16), ("test", 20)):
        order = RNG.permutation(classes * 2).reshape(classes, 2)
        pixels = RNG.integers(0, 256, (classes * 2, 2, 2, 3), np.uint8)
        content = {
            "image_data": pixels,
            "class_dict": {f"n{i}": list(map(int, own)) for i, own in enumerate(order)},
        }
        (tmp_path / f"mini-imagenet-cache-{part}.pkl").write_bytes(pickle.dumps(content))
        images[part] = pixels[order]
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load_classes("mini_imagenet")
    command = str(caught.value).partition('python -c "')[2].rstrip('"')
    subprocess.run([sys.executable, "-c", command], cwd=tmp_path, check=True)
    train, _ = load_classes("mini_imagenet")
    np.testing.assert_array_equal(train.images.reshape(images["train"].shape), images["train"])
