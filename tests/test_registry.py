"""The registry finds members by file, reads them without importing, and loads them on demand."""

import subprocess
import sys
from pathlib import Path

import pytest

from metaplastic import _registry
from metaplastic._errors import UsageError

RULE = '''"""A rule of my own.

More about it.
"""

from typing import ClassVar

import equinox as eqx

from metaplastic._properties import Properties
from metaplastic.rules.base import AbstractRule


class {name}(AbstractRule):
    properties: ClassVar[Properties] = Properties(
        weight_transport="signs",
        nonlocal_signal="a reward",
        backward_sweep=False,
        frozen_activity=False,
        update_locked="partly",
        stored_state=False,
        needs_slope=False,
        forward_passes=3,
    )
    scale: float = 0.5
    loss: str = eqx.field(static=True, default="cross_entropy")

    def init(self, model, *, key):
        return None

    def updates(self, model, state, x, y, *, key, **signals):
        raise NotImplementedError
'''


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(RULE.format(name="Mine"))
    return path


def refused(call, *parts: str) -> None:
    """The call raises one sentence that names all the parts."""
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_every_built_in_member_loads_and_is_described():
    for kind in _registry.KINDS:
        for name in _registry.names(kind):
            entry = _registry.describe(kind, name)
            assert _registry.load(kind, name) is not None
            assert entry.summary
            assert entry.spec == name
            assert entry.path.stem == name


def test_declared_properties_equal_the_imported_ones():
    assert "backprop" in _registry.names("rules")
    for name in _registry.names("rules"):
        declared = _registry.describe("rules", name).properties
        assert declared == _registry.load("rules", name).properties


def test_reading_the_registry_imports_no_jax():
    code = (
        "import sys\n"
        "from metaplastic import _registry\n"
        "for kind in _registry.KINDS:\n"
        "    [_registry.describe(kind, name) for name in _registry.names(kind)]\n"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_shared_files_are_no_members():
    assert "base" not in _registry.names("rules")
    assert "dense" not in _registry.names("models")
    assert "mlp" in _registry.names("models")


@pytest.mark.parametrize("suffix", ["", ":Mine"])
def test_path_of_a_users_file(mine, suffix):
    rule = _registry.load("rules", f"{mine}{suffix}")
    entry = _registry.describe("rules", f"{mine}{suffix}")
    assert rule.__name__ == "Mine"
    assert rule().scale == 0.5
    assert rule is _registry.load("rules", str(mine))
    assert entry.name == "mine"
    assert entry.summary == "A rule of my own."
    assert entry.spec == f"{mine}{suffix}"
    assert entry.properties == rule.properties
    assert entry.properties.forward_passes == 3
    assert entry.properties.batch_linear is True


def test_relative_path_is_found_again_from_another_folder(mine, monkeypatch, tmp_path):
    monkeypatch.chdir(mine.parent)
    spec = _registry.describe("rules", "./mine.py:Mine").spec
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert _registry.load("rules", spec).__name__ == "Mine"


def test_edited_file_is_read_again(mine):
    first = _registry.load("rules", str(mine))
    mine.write_text(RULE.format(name="Renamed"))
    assert _registry.load("rules", str(mine)).__name__ == "Renamed"
    assert first.__name__ == "Mine"


@pytest.mark.parametrize("folder", ["", "rules"])
def test_folder_of_plugins(tmp_path, monkeypatch, folder):
    other = tmp_path / "other"
    (tmp_path / folder).mkdir(exist_ok=True)
    other.mkdir()
    path = tmp_path / folder / "mine.py"
    path.write_text(RULE.format(name="Mine"))
    (tmp_path / folder / "helper.py").write_text("def help_me(): ...\n")
    (other / "models").mkdir()
    (other / "models" / "tiny.py").write_text('"""Tiny."""\ndef tiny(): return "a model"\n')
    monkeypatch.setenv(_registry.PLUGINS, f"{tmp_path}:{other}")
    assert "mine" in _registry.names("rules")
    assert "helper" not in _registry.names("rules")
    assert _registry.load("rules", "mine").__name__ == "Mine"
    assert _registry.describe("rules", "mine").spec == str(path)
    assert _registry.load("models", "tiny")() == "a model"
    refused(lambda: _registry.load("rules", "helper"), "helper.py", "no rule")


def test_entry_point_of_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "others"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported before it is wanted')\n")
    (package / "rule.py").write_text(RULE.format(name="Theirs"))
    info = tmp_path / "others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[metaplastic.rules]\ntheirs = others.rule:Theirs\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "theirs" in _registry.names("rules")
    assert _registry.describe("rules", "theirs").summary == "A rule of my own."
    (package / "__init__.py").write_text("")
    assert _registry.load("rules", "theirs").__name__ == "Theirs"


def test_name_that_is_taken(tmp_path, monkeypatch):
    path = tmp_path / "backprop.py"
    path.write_text(RULE.format(name="Mine"))
    monkeypatch.setenv(_registry.PLUGINS, str(tmp_path))
    built_in = str(Path("rules", "backprop.py"))
    refused(lambda: _registry.names("rules"), str(path), built_in, "rename")


def test_missing_folder_of_plugins(monkeypatch):
    monkeypatch.setenv(_registry.PLUGINS, "/no/such/folder")
    refused(lambda: _registry.names("rules"), _registry.PLUGINS, "/no/such/folder")


def test_unknown_name_tells_the_nearest():
    refused(lambda: _registry.load("rules", "bakprop"), "'bakprop'", "'backprop'")


def test_missing_file_tells_the_nearest(mine):
    typo = mine.with_name("mnie.py")
    refused(lambda: _registry.load("rules", f"{typo}:Mine"), str(typo), "'mine.py'")


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("x = 1\ndef f(:\n", ("does not parse", "line 2")),
        ("x = 1\n", ("no rule", "AbstractRule")),
        ("import no_such_module_here\n", ("line 1", "no_such_module_here")),
        ("\n\n1 / 0\n", ("line 3", "ZeroDivisionError")),
        (RULE.format(name="One") + RULE.format(name="Two"), ("several rules", ":One", ":Two")),
        ("\0", ("does not parse",)),
    ],
)
def test_useless_file(tmp_path, source, parts):
    path = tmp_path / "useless.py"
    path.write_text(source)
    refused(lambda: _registry.load("rules", str(path)), str(path), *parts)


def test_several_rules_one_of_which_is_named(tmp_path):
    path = tmp_path / "two.py"
    path.write_text(RULE.format(name="One") + RULE.format(name="Two"))
    assert _registry.load("rules", f"{path}:Two").__name__ == "Two"
    refused(lambda: _registry.load("rules", f"{path}:Tow"), "'Tow'", "'Two'")


def test_abstract_rule_is_no_rule(tmp_path):
    path = tmp_path / "half.py"
    path.write_text(RULE.format(name="Half").partition("    def updates")[0])
    refused(lambda: _registry.load("rules", str(path)), "no rule", "all its methods")


def test_broken_plugin_stays_in_sight(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("def f(:\n")
    monkeypatch.setenv(_registry.PLUGINS, str(tmp_path))
    assert "broken" in _registry.names("rules")
    refused(lambda: _registry.describe("rules", "broken"), "broken.py", "line 1")
