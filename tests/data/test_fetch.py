"""Downloads: mirrors in turn, checksums, offline mode, damaged caches, full disks."""

import socket
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_files import describe, put

from metaplastic import data
from metaplastic._errors import DataError
from metaplastic.data import _fetch, mnist

IMAGES = "train-images-idx3-ubyte.gz"


def use(monkeypatch, *mirrors: str) -> None:
    monkeypatch.setattr(mnist, "SOURCE", replace(mnist.SOURCE, mirrors=mirrors))


def closed_port() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def cached(tmp_path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "cache" / "mnist").iterdir())


def test_fetches_once_and_loads(small_mnist, mirror, monkeypatch, tmp_path):
    use(monkeypatch, mirror.url)
    mirror.contents.update(small_mnist)
    seen = []
    folder = data.fetch("mnist", progress=lambda *args: seen.append(args))
    assert folder == tmp_path / "cache" / "mnist"
    assert cached(tmp_path) == sorted(small_mnist)
    size = len(small_mnist[IMAGES])
    assert (IMAGES, size, size) in seen
    assert data.load("mnist").x_train.shape == (20, 28, 28)
    assert len(mirror.asked) == 4, "a file that is in the cache is not asked for again"


def test_load_fetches_what_is_missing(small_mnist, mirror, monkeypatch, tmp_path):
    use(monkeypatch, mirror.url)
    mirror.contents.update(small_mnist)
    put({k: v for k, v in small_mnist.items() if k != IMAGES}, tmp_path / "cache" / "mnist")
    assert len(data.load("mnist").y_train) == 20
    assert mirror.asked == [f"/{IMAGES}"]


def test_next_mirror_after_refusal_404_and_wrong_file(small_mnist, mirror, monkeypatch, tmp_path):
    use(monkeypatch, closed_port(), mirror.url + "gone/", mirror.url + "bad/", mirror.url + "good/")
    for name, content in small_mnist.items():
        mirror.contents[f"bad/{name}"] = content[:-1] + b"\0" if name == IMAGES else content
        mirror.contents[f"good/{name}"] = content
    data.fetch("mnist")
    assert [r.state for r in data.verify("mnist")] == ["ok"] * 4
    assert cached(tmp_path) == sorted(small_mnist), "no partial file stays behind"


def test_all_mirrors_fail_in_one_sentence(small_mnist, mirror, monkeypatch, tmp_path):
    use(monkeypatch, closed_port(), mirror.url + "gone/", mirror.url + "bad/", mirror.url + "long/")
    good = small_mnist[IMAGES]
    mirror.contents[f"bad/{IMAGES}"] = b"log in first"
    mirror.contents[f"long/{IMAGES}"] = good + bytes(200_000)
    with pytest.raises(DataError) as caught:
        data.fetch("mnist")
    message = str(caught.value)
    assert "\n" not in message and f"cannot download {IMAGES} of mnist" in message
    assert "the connection failed" in message and "answers HTTP 404" in message
    assert f"expected {len(good)} bytes" in message and "found 12 bytes" in message
    assert f"sends more than the expected {len(good)} bytes" in message
    assert str(tmp_path / "cache" / "mnist") in message and "METAPLASTIC_DATA" in message
    assert cached(tmp_path) == []


def test_silent_mirror_is_given_up(small_mnist, monkeypatch):
    monkeypatch.setattr(_fetch, "SILENCE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(DataError, match=r"silent for 0\.2 s"):
            data.fetch("mnist")


def test_half_a_file_is_not_taken_for_the_whole(small_mnist, monkeypatch, mirror, tmp_path):
    good = small_mnist[IMAGES]
    use(monkeypatch, mirror.url + "short/", mirror.url)
    mirror.contents.update(small_mnist)
    mirror.contents[f"short/{IMAGES}"] = good[: len(good) // 2]
    data.fetch("mnist")
    assert (tmp_path / "cache" / "mnist" / IMAGES).read_bytes() == good


@pytest.mark.parametrize("how", ["variable", "argument"])
def test_offline_names_what_is_missing_and_where(small_mnist, mirror, monkeypatch, tmp_path, how):
    use(monkeypatch, mirror.url)
    put({IMAGES: small_mnist[IMAGES]}, tmp_path / "cache" / "mnist")
    if how == "variable":
        monkeypatch.setenv("METAPLASTIC_OFFLINE", "1")
    with pytest.raises(DataError) as caught:
        data.load("mnist", offline=None if how == "variable" else True)
    message = str(caught.value)
    for name in small_mnist:
        assert (name in message) == (name != IMAGES)
    assert str(tmp_path / "cache" / "mnist") in message and mirror.url in message
    assert mirror.asked == []


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("no", False)])
def test_offline_variable_can_say_no(monkeypatch, value, expected):
    monkeypatch.setenv("METAPLASTIC_OFFLINE", value)
    assert _fetch.is_offline() is expected
    assert _fetch.is_offline(True) is True


@pytest.mark.parametrize("damage", ["truncated", "tampered"])
def test_damaged_file_is_reported_kept_and_mended_by_fetch(
    small_mnist, mirror, monkeypatch, tmp_path, damage
):
    use(monkeypatch, mirror.url)
    folder = put(small_mnist, tmp_path / "cache" / "mnist")
    good = small_mnist[IMAGES]
    bad = good[:100] if damage == "truncated" else good[:50] + bytes([good[50] ^ 1]) + good[51:]
    (folder / IMAGES).write_bytes(bad)

    reports = {r.file: r.state for r in data.verify("mnist")}
    assert reports == {name: "damaged" if name == IMAGES else "ok" for name in small_mnist}
    with pytest.raises(DataError) as caught:
        data.load("mnist")
    message = str(caught.value)
    assert str(folder / IMAGES) in message and "`metaplastic data fetch mnist`" in message
    assert f"expected {len(good)} bytes" in message and f"found {len(bad)} bytes" in message

    # While no mirror answers, what is there stays; then it is replaced.
    with pytest.raises(DataError, match="404"):
        data.fetch("mnist")
    assert (folder / IMAGES).read_bytes() == bad
    mirror.contents.update(small_mnist)
    data.fetch("mnist")
    assert [r.state for r in data.verify("mnist")] == ["ok"] * 4


def test_verify_without_a_cache(small_mnist):
    assert [r.state for r in data.verify("mnist")] == ["missing"] * 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("big", [False, True], ids=["when closing", "when writing"])
def test_full_disk_stops_with_one_sentence(small_mnist, mirror, monkeypatch, tmp_path, big):
    content = np.random.default_rng(0).bytes(300_000 if big else 100)
    describe(mnist, {IMAGES: content}, monkeypatch, mirrors=(mirror.url, mirror.url))
    mirror.contents[IMAGES] = content
    # The partial file is a link to a device that is always full.
    monkeypatch.setattr(uuid, "uuid4", lambda: SimpleNamespace(hex="0" * 32))
    folder = put({}, tmp_path / "cache" / "mnist")
    (folder / f".{IMAGES}.00000000.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"cannot write .*No space left .*METAPLASTIC_CACHE") as e:
        data.fetch("mnist")
    assert str(folder) in str(e.value) and cached(tmp_path) == []
    assert len(mirror.asked) == 1, "another mirror would not help"


def test_cache_that_cannot_be_made(small_mnist, mirror, monkeypatch, tmp_path):
    use(monkeypatch, mirror.url)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("METAPLASTIC_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="METAPLASTIC_CACHE"):
        data.fetch("mnist")


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    assert data.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("METAPLASTIC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data.cache_folder() == tmp_path / "xdg" / "metaplastic"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert data.cache_folder() == tmp_path / ".cache" / "metaplastic"
