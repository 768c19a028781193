"""Names, paths and places; what a record says; discovery without importing."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from small_files import describe, put

from metaplastic import data
from metaplastic._errors import DataError, UsageError
from metaplastic.data import mnist

NAMES = [
    "cifar10",
    "cifar100",
    "digits",
    "emnist",
    "fashion_mnist",
    "mini_imagenet",
    "mnist",
    "omniglot",
]


def write_npz(path, classes=2, fill=0):
    x, y = np.full((4, 3), fill, np.float32), np.arange(4) % classes
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return path


def test_names_are_modules_and_own_files(tmp_path, monkeypatch):
    assert data.names() == sorted(NAMES)
    write_npz(tmp_path / "mine.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    assert set(data.names()) - {"mine"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_source_is_complete(name):
    source = data.source(name)
    assert source.shipped or len(source.mirrors) >= 2 or (not source.files and source.read_own)
    assert all(m.startswith("http") and m.endswith("/") for m in source.mirrors)
    for file in source.files:
        assert len(file.sha256) == 64 and int(file.sha256, 16) and file.size > 0
    assert source.homepage and source.licence and source.citation
    assert data.title(name).endswith(".") and "classes" in data.title(name)


def test_data_folder_comes_before_cache_and_network(small_mnist, tmp_path, monkeypatch):
    put(small_mnist, tmp_path / "cache" / "mnist")
    official = data.load("mnist", offline=True)
    write_npz(tmp_path / "mnist.npz")
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    own = data.load("mnist")
    assert own.name == official.name == "mnist"
    assert own.record()["source"] == f"METAPLASTIC_DATA: {tmp_path / 'mnist.npz'}"
    assert official.record()["source"] == mnist.SOURCE.homepage
    assert own.sha256 != official.sha256 and own.licence == "not stated"


def test_own_file_without_the_keys_is_named(tmp_path, monkeypatch):
    np.savez(tmp_path / "mnist.npz", images=np.zeros(3))
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"mnist\.npz has no x_train.*it holds images"):
        data.load("mnist")


def test_data_folder_that_does_not_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"METAPLASTIC_DATA is .*nowhere"):
        data.load("digits")


def test_paths_are_told_from_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "digits.npz")
    assert data.load("./digits.npz").shape == (3,)
    assert data.load("digits.npz").shape == (3,)
    assert data.load("digits").shape == (8, 8, 1)


def test_unknown_names_get_the_nearest(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"'minst': did you mean 'mnist'\? \(a file is .*path"):
        data.load("minst")
    for act in (data.fetch, data.verify, data.source):
        with pytest.raises(UsageError, match="did you mean 'cifar10'"):
            act("cifar1O")
    write_npz(tmp_path / "mine.npz")
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    with pytest.raises(UsageError, match="your own file"):
        data.verify("mine")


def test_hash_knows_every_array_its_type_and_the_scale(tmp_path):
    base = data.load(write_npz(tmp_path / "a.npz"))
    assert base.sha256 == data.load(write_npz(tmp_path / "b.npz")).sha256
    changed = [
        dataclasses.replace(base, **{k: np.roll(np.add(getattr(base, k), 1), 1)})
        for k in ("x_train", "y_train", "x_test", "y_test")
    ]
    changed += [
        dataclasses.replace(base, x_test=base.x_test.astype(np.float64)),
        dataclasses.replace(base, x_test=base.x_test.reshape(2, 6)),
        dataclasses.replace(base, scale=2.0),
    ]
    assert len({base.sha256, *(c.sha256 for c in changed)}) == 8


def test_status_tells_where_each_would_come_from(small_mnist, tmp_path, monkeypatch):
    def states():
        return {s.name: s.state for s in data.status()}

    assert states()["mnist"] == "not downloaded" and states()["digits"] == "shipped"
    name = next(iter(small_mnist))
    put({name: small_mnist[name]}, tmp_path / "cache" / "mnist")
    assert states()["mnist"] == "partial"
    put(small_mnist, tmp_path / "cache" / "mnist")
    assert states()["mnist"] == "cached"
    write_npz(tmp_path / "mnist.npz")
    monkeypatch.setenv("METAPLASTIC_DATA", str(tmp_path))
    status = {s.name: s for s in data.status()}["mnist"]
    assert status.state == "own file" and status.path == tmp_path / "mnist.npz"
    assert (status.shape, status.train, status.test) == ((3,), 4, 4)


def test_file_that_passes_its_checksum_but_not_its_format(monkeypatch, tmp_path, small_mnist):
    name = "t10k-labels-idx1-ubyte.gz"
    contents = describe(mnist, small_mnist | {name: b"not gzip"}, monkeypatch)
    put(contents, tmp_path / "cache" / "mnist")
    with pytest.raises(DataError, match=rf"{name} is not .*: delete it and run `metaplastic data"):
        data.load("mnist", offline=True)


def test_record_is_json(tmp_path):
    record = data.load("digits").record()
    assert json.loads(json.dumps(record)) == record
    assert record["train"] == 1437 and record["test"] == 360 and record["shape"] == [8, 8, 1]


def test_importing_and_listing_need_no_jax_and_no_pooch():
    code = (
        "import sys, metaplastic.data as d; d.names(); d.status(); d.load('digits');"
        "print(sorted({'jax', 'pooch', 'requests', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("change", ["damaged", "missing"])
def test_shipped_file_that_is_gone_or_damaged(monkeypatch, tmp_path, change):
    from metaplastic.data import _load, digits

    contents = {} if change == "missing" else {"digits.npz": b"PK"}
    monkeypatch.setattr(_load, "_folder", lambda name, about: put(contents, tmp_path / "package"))
    assert digits.SOURCE.shipped
    with pytest.raises(DataError, match="install metaplastic again"):
        data.load("digits")
