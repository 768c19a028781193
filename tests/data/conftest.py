"""Small data sets in the official formats, and a web server of our own to fetch them from."""

import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from small_files import describe, idx, tar_gz

from metaplastic.data import cifar10, cifar100, mnist


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """No cache, data folder or setting of the person who runs the tests."""
    for name in ("METAPLASTIC_DATA", "METAPLASTIC_OFFLINE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("METAPLASTIC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small_mnist(monkeypatch):
    """The four files of an MNIST of 20 + 10 images, which `mnist` expects from now on."""
    rng = np.random.default_rng(1)
    contents = {}
    for prefix, count in (("train", 20), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = np.arange(count) % 10
        contents[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        contents[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels))
    return describe(mnist, contents, monkeypatch, mirrors=())


@pytest.fixture
def small_cifar10(monkeypatch):
    """A CIFAR-10 of 5 batches of 4 images and 6 test images."""
    rng = np.random.default_rng(2)

    def batch(count, start):
        planes = rng.integers(0, 256, (count, 3072), np.uint8)
        labels = (np.arange(start, start + count) % 10).astype(np.uint8)
        return np.concatenate([labels[:, None], planes], axis=1).tobytes()

    members = {f"cifar-10-batches-bin/data_batch_{i}.bin": batch(4, 4 * i) for i in range(1, 6)}
    members["cifar-10-batches-bin/test_batch.bin"] = batch(6, 0)
    members["cifar-10-batches-bin/readme.html"] = b"<html>"
    contents = {"cifar-10-binary.tar.gz": tar_gz(members)}
    return members, describe(cifar10, contents, monkeypatch, mirrors=())


@pytest.fixture
def small_cifar100(monkeypatch):
    """A CIFAR-100 whose coarse labels (7) differ from the fine ones (0..3)."""
    rng = np.random.default_rng(3)

    def split(count):
        planes = rng.integers(0, 256, (count, 3072), np.uint8)
        fine = (np.arange(count) % 4).astype(np.uint8)
        coarse = np.full(count, 7, np.uint8)
        return np.concatenate([coarse[:, None], fine[:, None], planes], axis=1).tobytes()

    members = {"cifar-100-binary/train.bin": split(8), "cifar-100-binary/test.bin": split(5)}
    contents = {"cifar-100-binary.tar.gz": tar_gz(members)}
    return members, describe(cifar100, contents, monkeypatch, mirrors=())


@dataclass
class Mirror:
    """A web server on this machine: what it holds, and what was asked of it."""

    url: str = ""
    contents: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


def serve(mirror: Mirror) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            mirror.asked.append(self.path)
            content = mirror.contents.get(self.path.lstrip("/"))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def mirror():
    """A web server that holds `mirror.contents`."""
    mirror = Mirror()
    server = serve(mirror)
    yield mirror
    server.shutdown()
    server.server_close()
