"""Writing small files in the formats of IDX, CIFAR, PNG and zip."""

import hashlib
import io
import struct
import tarfile
import zipfile
import zlib
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


def grey_png(pixels: np.ndarray, *, bits: int = 1, prediction: int = 0, rows: int = 0) -> bytes:
    """The PNG of values below 2^bits, all rows predicted in one way (ISO/IEC 15948, 9.2)."""
    height, width = pixels.shape
    padded = np.zeros((height, -(-width * bits // 8) * 8 // bits), np.uint8)
    padded[:, :width] = pixels
    places = np.unpackbits(padded[:, :, None], axis=2)[:, :, -bits:].reshape(height, -1)
    packed, above, out = np.packbits(places, axis=1), None, b""
    for row in packed.tolist():
        above, last, line = above or [0] * len(row), [0, 0], []
        for value, up in zip(row, above, strict=True):
            left, corner = last
            paeth = sorted(
                (abs(left + up - corner - v), i, v) for i, v in enumerate((left, up, corner))
            )
            guess = {1: left, 2: up, 3: (left + up) // 2, 4: paeth[0][2]}.get(prediction, 0)
            line.append((value - guess) % 256)
            last = [value, up]
        out += bytes([prediction, *line])
        above = row
    header = struct.pack(">IIBBBBB", width, rows or height, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(out)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()
