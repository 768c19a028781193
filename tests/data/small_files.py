"""Writing small files in the formats of IDX and CIFAR."""

import hashlib
import io
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from metaplastic.data import DataFile


def idx(values: np.ndarray) -> bytes:
    """The IDX file of an array of unsigned bytes, before gzip."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(struct.pack(">I", n) for n in values.shape)
    return header + values.astype(np.uint8).tobytes()


def tar_gz(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def describe(module, contents: dict[str, bytes], monkeypatch, **changes) -> dict[str, bytes]:
    """Make a data set's module expect these files instead of the published ones."""
    files = tuple(
        DataFile(name, hashlib.sha256(content).hexdigest(), len(content))
        for name, content in contents.items()
    )
    monkeypatch.setattr(module, "SOURCE", replace(module.SOURCE, files=files, **changes))
    return contents


def put(contents: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder
