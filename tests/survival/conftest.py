"""A command line whose processes share their compiled programs."""

import pytest
from processes import CommandLine


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> CommandLine:
    """The command line, in a folder of the module's tests."""
    return CommandLine(tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("programs"))


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """No cache, data folder or setting of the person who runs the tests."""
    for name in ("METAPLASTIC_DATA", "METAPLASTIC_OFFLINE", "METAPLASTIC_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("METAPLASTIC_CACHE", str(tmp_path / "cache"))
