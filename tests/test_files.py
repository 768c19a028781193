"""Files are written wholly or not at all, and a refusing disk is one sentence."""

import errno
import os
import stat
from pathlib import Path

import pytest

from metaplastic import _files
from metaplastic._errors import MetaplasticError


def fail_with(monkeypatch, name: str, code: int) -> None:
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("content", ["text µ\n", b"\x00\xff"])
def test_content_arrives_in_a_new_folder(tmp_path, content):
    path = tmp_path / "new" / "file.txt"
    _files.write_atomic(path, content)
    expected = content.encode() if isinstance(content, str) else content
    assert path.read_bytes() == expected
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_mode_is_that_of_an_ordinary_file(tmp_path):
    (tmp_path / "ordinary").write_text("")
    _files.write_atomic(tmp_path / "atomic", "")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ordinary", "atomic")]
    assert modes[0] == modes[1]


def test_suffix_is_kept_and_the_target_untouched_until_the_end(tmp_path):
    path = tmp_path / "figure.png"
    path.write_text("old")
    with _files.atomic_path(path) as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_failure_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), _files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk(tmp_path, monkeypatch, call, code):
    path = tmp_path / "file"
    path.write_text("old")
    fail_with(monkeypatch, call, code)
    with pytest.raises(MetaplasticError, match=f"disk full while writing {path}.* resume runs/a`"):
        _files.write_atomic(path, "new", run=Path("runs/a"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_refusing_disk(tmp_path, monkeypatch, code):
    fail_with(monkeypatch, "replace", code)
    reason = os.strerror(code).lower()
    with pytest.raises(MetaplasticError, match=f"cannot write .*{reason}.*choose a folder"):
        _files.write_atomic(tmp_path / "file", "new")


def test_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MetaplasticError, match="cannot write"):
        _files.write_atomic(tmp_path / "file" / "inner", "new")


def test_other_errors_pass_through(tmp_path, monkeypatch):
    fail_with(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        _files.write_atomic(tmp_path / "file", "new")
