"""Writing files so that a crash, a full disk or a second reader never meets half of one."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from metaplastic._errors import MetaplasticError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {
    *(errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
}


def write_atomic(path: Path | str, content: str | bytes, *, run: Path | None = None) -> None:
    """Replace the file `path` by `content`, wholly or not at all.

    Raises `MetaplasticError` where the disk is full or refuses (see `storage_errors`).
    """
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(path, run=run) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def atomic_path(path: Path | str, *, run: Path | None = None) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there takes its place at the end.

    The suffix is kept, for writers that choose their format by it. After an error the temporary
    file is removed and what was at `path` stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}{path.suffix}")
    try:
        with storage_errors(path, run=run):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)  # the new name itself must reach the disk
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def storage_errors(path: Path | str, *, run: Path | None = None) -> Iterator[None]:
    """Turn a disk that is full or refuses to be written into one sentence with its remedy.

    `run` is the run folder that the sentence tells how to resume.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            then = f"`metaplastic resume {run}`" if run is not None else "try again"
            raise MetaplasticError(
                f"disk full while writing {path}: free some space, then {then}"
            ) from error
        if error.errno in _REFUSED:
            reason = (error.strerror or "refused").lower()
            raise MetaplasticError(
                f"cannot write {path} ({reason}): choose a folder that can be written"
            ) from error
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
