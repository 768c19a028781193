"""The cache of published files: where it is, what is in it, and how it is filled."""

import contextlib
import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from .._errors import DataError
from ._base import DataFile, Progress, Source

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""A mirror that sends nothing for so long is given up."""


def cache_folder() -> Path:
    """METAPLASTIC_CACHE, else `metaplastic` in XDG_CACHE_HOME, else `~/.cache/metaplastic`."""
    if own := os.environ.get("METAPLASTIC_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "metaplastic"
    except RuntimeError as error:
        raise DataError(f"no home folder ({error}): set METAPLASTIC_CACHE to a folder") from error


def is_offline(offline: bool | None = None) -> bool:
    """The argument if given, else whether METAPLASTIC_OFFLINE is set to anything but a no."""
    if offline is not None:
        return offline
    return os.environ.get("METAPLASTIC_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")


@dataclass(frozen=True)
class FileReport:
    """One file of a data set, after hashing it."""

    file: str
    path: Path
    state: Literal["ok", "missing", "damaged"]
    detail: str = ""
    """For a damaged file: expected and found size and checksum."""


def inspect(file: DataFile, folder: Path) -> FileReport:
    """Hash a file in the cache and compare it with what was published."""
    path = folder / file.name
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except FileNotFoundError:
        return FileReport(file.name, path, "missing")
    except OSError as error:
        return FileReport(file.name, path, "damaged", f"it cannot be read ({error.strerror})")
    if (found, size) == (file.sha256, file.size):
        return FileReport(file.name, path, "ok")
    return FileReport(file.name, path, "damaged", mismatch(file, found, size))


def mismatch(file: DataFile, found: str, size: int) -> str:
    """Expected and found size and checksum (the first 12 digits)."""
    return (
        f"expected {file.size} bytes with sha256 {file.sha256[:12]}…, "
        f"found {size} bytes with sha256 {found[:12]}…"
    )


def download(
    file: DataFile, source: Source, folder: Path, *, name: str, progress: Progress | None = None
) -> None:
    """Bring one file into the folder from the first mirror that gives the right one.

    The file appears whole or not at all; one that lies there already is replaced only then.
    Raises `DataError` naming each mirror and what was wrong with it.
    """
    problems = []
    for mirror in source.mirrors:
        problem = _try_mirror(file, mirror, folder, progress)
        if problem is None:
            return
        problems.append(f"{urlsplit(mirror).netloc}: {problem}")
    raise DataError(
        f"cannot download {file.name} of {name} ({'; '.join(problems) or 'it has no mirror'}): "
        f"try again later, place the file in {folder}, or set METAPLASTIC_DATA to a folder with "
        f"{name}.npz"
    )


class _Sink:
    """A file that is hashed while it is written, and that refuses to grow beyond its size."""

    def __init__(self, file: DataFile, stream: Any, progress: Progress | None):
        self.file, self.stream, self.progress = file, stream, progress
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self.file.size:
            raise _TooLongError(f"sends more than the expected {self.file.size} bytes")
        self.digest.update(chunk)
        try:
            self.stream.write(chunk)
        except OSError as error:
            # Not a fault of the mirror: another one would not help.
            raise _cannot_write(Path(self.stream.name).parent, error) from error
        if self.progress is not None:
            self.progress(self.file.name, self.size, self.file.size)

    def flush(self) -> None:
        """Buffers are written when the file is closed."""


class _TooLongError(Exception):
    """A mirror sends more than the file has."""


def _try_mirror(file: DataFile, mirror: str, folder: Path, progress: Progress | None) -> str | None:
    """Download from one mirror; None if the file is there now, else what was wrong."""
    part = folder / f".{file.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            sink = _Sink(file, stream, progress)
            problem = _receive(mirror + file.name, sink)
            if problem is None:
                stream.flush()
                os.fsync(stream.fileno())
        if problem is None:
            os.replace(part, folder / file.name)
        return problem
    except OSError as error:  # also the disk that is found full when the file is closed
        raise _cannot_write(folder, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _receive(url: str, sink: _Sink) -> str | None:
    """Download into the sink; None if it holds the right file now, else what was wrong."""
    import pooch  # a tenth of a second, and needed only here

    responses = []
    downloader = pooch.HTTPDownloader(
        chunk_size=1 << 16,
        timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
        headers={
            # As the file is stored: some servers would otherwise unpack a .gz on the way.
            "Accept-Encoding": "identity",
            # Some servers refuse the name that the library gives itself.
            "User-Agent": "Mozilla/5.0 (compatible; metaplastic)",
        },
        # The downloader leaves connections open when it is interrupted.
        hooks={"response": lambda response, **_: responses.append(response)},
    )
    try:
        downloader(url, sink, None)
    except _TooLongError as error:
        return str(error)
    except (OSError, ValueError) as error:  # all errors of requests are OSErrors
        return _reason(error)
    finally:
        for response in responses:
            response.close()
    found = sink.digest.hexdigest()
    if (found, sink.size) == (sink.file.sha256, sink.file.size):
        return None
    return f"sent a wrong file ({mismatch(sink.file, found, sink.size)})"


def _cannot_write(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot write to the cache {folder} ({error.strerror or error}): make room or set "
        f"METAPLASTIC_CACHE to another folder"
    )


def _reason(error: Exception) -> str:
    """What a failed request means, in a few words."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"answers HTTP {response.status_code}"
    kind = type(error).__name__
    known = {
        "ConnectTimeout": f"no answer within {CONNECT_SECONDS:g} s",
        "ReadTimeout": f"silent for {SILENCE_SECONDS:g} s",
        "SSLError": "its certificate is not accepted",
        "ProxyError": "the proxy refuses",
        "ChunkedEncodingError": "broke off",
        "ConnectionError": "the connection failed",
    }
    return known.get(kind, kind)
