"""Data sets by name or path: what there is, loading, fetching and verifying.

A name means, in this order: `NAME.npz` in the folder METAPLASTIC_DATA (or, of data sets that must
be supplied, a folder `NAME` there); the module `NAME` beside this file (its `SOURCE`), from the
package, the cache, or its mirrors.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import _registry
from .._errors import DataError, UsageError, unknown
from . import _npz
from ._base import Arrays, Dataset, FormatError, Progress, Source
from ._check import as_dataset
from ._fetch import FileReport, cache_folder, download, inspect, is_offline


def published() -> list[str]:
    """Names of the data sets that have a module, here or among the user's own parts."""
    return list(_registry.names("datasets"))


def own() -> dict[str, Path]:
    """Data sets in the folder METAPLASTIC_DATA: `.npz` files with the four arrays."""
    folder = os.environ.get("METAPLASTIC_DATA")
    if not folder:
        return {}
    paths = sorted(Path(folder).expanduser().glob("*.npz"))
    return {path.stem: path for path in paths if _npz.peek(path) is not None}


def names() -> list[str]:
    """All names that `load` understands."""
    return sorted({*published(), *own()})


def source(name: str) -> Source:
    """The description of a published data set; `UsageError` for an unknown name."""
    if name in published():
        return _registry.load("datasets", name)
    if name in own():
        raise UsageError(
            f"data set {name!r} is your own file {own()[name]}, which has no published source"
        )
    raise unknown("data set", name, names())


def title(name: str) -> str:
    """The one-line description of a published data set, read without importing its module."""
    return _registry.describe("datasets", name).summary


def load(
    name_or_path: str | os.PathLike[str],
    *,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set by name, or an `.npz` with `x_train, y_train, x_test, y_test` by path.

    What is not in the cache is downloaded first, unless `offline` (None: METAPLASTIC_OFFLINE).
    Raises `UsageError` for an unknown name and `DataError` for missing, damaged or unusable data.
    """
    text = os.fspath(name_or_path)
    path = Path(text).expanduser()
    if path.suffix in (".npz", *_npz.PICKLES) or path.name != text:
        return _load_own(path, path.stem, source=f"file {path.absolute()}")
    path = _own_path(text)
    if path is not None:
        return _load_own(path, text, source=f"METAPLASTIC_DATA: {path.absolute()}")
    if text not in published():
        extra = " (a file is given by its path, such as ./mine.npz)"
        raise UsageError(f"{unknown('data set', text, names())}{extra}")
    about = source(text)
    folder = _ensure(text, about, offline=offline, progress=progress, replace=False)
    try:
        arrays = about.read(folder)
    except FormatError as error:
        raise DataError(f"{error}: {_remedy(text, about)}") from error
    return as_dataset(
        arrays,
        name=text,
        where=text,
        source=about.homepage,
        licence=about.licence,
        scale=about.scale,
    )


def fetch(name: str, *, offline: bool | None = None, progress: Progress | None = None) -> Path:
    """Download what is missing or damaged of a published data set; return its folder."""
    return _ensure(name, source(name), offline=offline, progress=progress, replace=True)


def verify(name: str) -> list[FileReport]:
    """Hash the files of a published data set again: each is ok, missing or damaged."""
    about = source(name)
    return [inspect(file, _folder(name, about)) for file in about.files]


def _own_path(name: str) -> Path | None:
    folder = os.environ.get("METAPLASTIC_DATA")
    if not folder:
        return None
    if not Path(folder).expanduser().is_dir():
        raise DataError(f"METAPLASTIC_DATA is {folder}, which is no folder: create or unset it")
    path = Path(folder).expanduser() / f"{name}.npz"
    if path.is_file():
        return path
    path = path.with_suffix("")
    supplied = path.is_dir() and name in published() and source(name).read_own is not None
    return path if supplied else None


def _load_own(path: Path, name: str, *, source: str) -> Dataset:
    arrays = _read_own(path, name)
    return as_dataset(arrays, name=name, where=str(path), source=source, licence="not stated")


def _read_own(path: Path, name: str) -> Arrays:
    read = source(name).read_own if name in published() and path == _own_path(name) else None
    if read is None or _npz.holds(path, _npz.KEYS):
        return _npz.read_arrays(path)
    return read(path)


def _folder(name: str, about: Source) -> Path:
    return Path(__file__).parent if about.shipped else cache_folder() / name


def _ensure(
    name: str, about: Source, *, offline: bool | None, progress: Progress | None, replace: bool
) -> Path:
    """See to it that all files are there and right; damaged ones are an error unless replaced."""
    folder = _folder(name, about)
    reports = [inspect(file, folder) for file in about.files]
    for report in reports:
        if report.state == "damaged" and (about.shipped or not replace):
            raise DataError(f"{report.path} is damaged, {report.detail}: {_remedy(name, about)}")
    wanted = [f for f, r in zip(about.files, reports, strict=True) if r.state != "ok"]
    if wanted and about.shipped:
        raise DataError(f"{wanted[0].name} is missing from {folder}: install metaplastic again")
    if wanted and is_offline(offline):
        raise DataError(
            f"{name} needs {', '.join(f.name for f in wanted)} and offline mode is on "
            f"(METAPLASTIC_OFFLINE or offline=True): get them from {' or '.join(about.mirrors)} "
            f"and place them in {folder}, or set METAPLASTIC_DATA to a folder with {name}.npz"
        )
    for file in wanted:
        download(file, about, folder, name=name, progress=progress)
    return folder


def _remedy(name: str, about: Source) -> str:
    if about.shipped:
        return "install metaplastic again"
    return f"delete it and run `metaplastic data fetch {name}`"


@dataclass(frozen=True)
class Status:
    """What is known of a data set without loading or hashing it."""

    name: str
    title: str
    state: Literal["shipped", "own file", "cached", "partial", "not downloaded", "to be supplied"]
    path: Path
    shape: tuple[int, ...]
    classes: int | None
    """None for an own file, which would have to be read."""
    train: int
    test: int
    size: int
    """Bytes of its files."""
    licence: str


def status() -> list[Status]:
    """All data sets that `load` understands, and where each would come from."""
    mine = own()
    return [_own_status(n, mine[n]) if n in mine else _published_status(n) for n in names()]


def _published_status(name: str) -> Status:
    about = source(name)
    folder = _folder(name, about)
    present = [(folder / f.name).is_file() for f in about.files]
    state = "cached" if all(present) else "partial" if any(present) else "not downloaded"
    if not about.files:
        state = "cached" if folder.is_dir() else "to be supplied"
    own_path = _own_path(name) if about.read_own else None
    if own_path is not None:
        folder, state = own_path, "own file"
    return Status(
        name=name,
        title=title(name),
        state="shipped" if about.shipped else state,
        path=folder,
        shape=about.shape,
        classes=about.classes,
        train=about.train,
        test=about.test,
        size=about.size,
        licence=about.licence,
    )


def _own_status(name: str, path: Path) -> Status:
    shapes = _npz.peek(path) or {}
    shape = shapes.get("x_train", ())[1:]
    return Status(
        name=name,
        title=f"{path.name} in METAPLASTIC_DATA",
        state="own file",
        path=path,
        shape=(*shape, 1) if len(shape) == 2 else shape,
        classes=None,
        train=(shapes.get("y_train") or (0,))[0],
        test=(shapes.get("y_test") or (0,))[0],
        size=path.stat().st_size,
        licence="not stated",
    )
