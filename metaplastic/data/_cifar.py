"""The binary version of CIFAR (Krizhevsky, 2009): records of labels and 3,072 bytes in a tar.gz.

A record is one label byte (CIFAR-10) or two (CIFAR-100: coarse, fine) and the red, green and blue
planes of 32x32 bytes each. Members are read in memory, by their exact names; nothing is unpacked.
"""

import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ._base import Arrays, FormatError

SIDE = 32
PIXELS = 3 * SIDE * SIDE


def read_archive(
    path: Path, *, train: Sequence[str], test: Sequence[str], label_bytes: int
) -> Arrays:
    """Images `[n, 32, 32, 3]` and labels `[n]` (the last label byte of each record)."""
    members = _read_members(path, {*train, *test})
    parts = []
    for names in (train, test):
        halves = [_parse(path, name, members[name], label_bytes) for name in names]
        parts.append(np.concatenate([x for x, _ in halves]))
        parts.append(np.concatenate([y for _, y in halves]))
    return Arrays(*parts)


def _read_members(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """The contents of the wanted members, in one pass through the archive."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                if member.name not in wanted:
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None or member.name in found:
                    raise FormatError(f"{path} holds {member.name} twice or not as a plain file")
                found[member.name] = content.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise FormatError(f"{path} is not a whole tar.gz file ({error})") from error
    if missing := sorted(wanted - set(found)):
        raise FormatError(f"{path} lacks {', '.join(missing)}")
    return found


def _parse(
    path: Path, name: str, content: bytes, label_bytes: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    record = label_bytes + PIXELS
    if not content or len(content) % record:
        raise FormatError(
            f"{path}: {name} has {len(content)} bytes, which is no multiple of a record of {record}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    planes = records[:, label_bytes:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, label_bytes - 1]
