"""Values of a wrong kind, on the command line and in files: one sentence with the fix."""

import pytest

from metaplastic.cli.__main__ import main

TERM = '''"""Mine."""

from metaplastic.rules.pool import Outer, term


@term("(y - mean y) x^T")
def centred(own):
    """Hebb's, less the mean."""
    return Outer(own.pre, own.post - own.post.mean(0))
'''
TASK = '''"""Mine."""

from metaplastic.tasks.sinusoid import Sinusoid


class Mine(Sinusoid):
    """It raises."""

    def sample(self, key):
        return nothing_of_this_name
'''


def said(argv, capsys):
    assert main(argv) != 0
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--epochs", "1.5"], "--epochs 1.5: it must be a whole number"),
        (["--epochs=many"], "--epochs many: it must be a whole number"),
        (["--lr", "fast"], "--lr fast: it must be a number"),
        (["--clip", "x"], "--clip x: it must be a number"),
        (["--out", ""], "--out '': name a folder"),
        (["--out="], "--out '': name a folder"),
        (["--data", "."], ". is a folder: give the path of an .npz with x_train"),
    ],
)
def test_values_of_train(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in said(["train", "backprop", *argv], capsys)


def test_values_in_a_file(capsys, tmp_path):
    (tmp_path / "own.toml").write_text('lr = "a"\n')
    argv = ["train", "backprop", "--config", str(tmp_path / "own.toml")]
    assert "--lr a: it must be a number" in said(argv, capsys)


def test_no_value_for_what_may_have_none(capsys, tmp_path):
    argv = ["train", "backprop", "--hidden", "4", "--epochs", "1", "--clip", "None", "--quiet"]
    assert main([*argv, "--no-alignment", "--out", str(tmp_path / "run")]) == 0


def test_an_error_in_ones_own_file_names_its_line(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(TASK)
    argv = ["meta", "online", "--task", str(tmp_path / "mine.py"), "--steps", "2"]
    found = said([*argv, "--out", str(tmp_path / "run")], capsys)
    assert "NameError (mine.py, line 10): name 'nothing_of_this_name'" in found


def test_a_term_is_tried_within_the_pool(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(TERM)
    path = f"{tmp_path / 'mine.py'}:centred"
    assert f"check pool --rule.terms {path}" in said(["check", path], capsys)
