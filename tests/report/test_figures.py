"""Figures: valid files with their labels, the same bytes every time, no global state."""

import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import run_folders as runs

from metaplastic._errors import MetaplasticError, MissingExtraError
from metaplastic.analysis.curves import slowness
from metaplastic.report import _looks, _style, figures
from metaplastic.report._series import Series, from_metrics, from_row
from metaplastic.report.records import RunFolder


def texts(svg):
    return " | ".join(ElementTree.fromstring(svg).itertext())


def check_files(paths, names):
    assert {path.stem for path in paths} == names
    assert {path.suffix for path in paths} == {".png", ".svg"}
    for path in paths:
        data = path.read_bytes()
        if path.suffix == ".svg":
            assert ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
        else:
            assert data[:8] == b"\x89PNG\r\n\x1a\n"
            width, height = struct.unpack(">II", data[16:24])
            assert width >= 600 and height >= 300


def test_a_run_is_drawn_into_its_folder(tmp_path):
    folder = RunFolder.open(runs.write_run(tmp_path / "run"))
    paths = figures.draw_run(folder)
    check_files(paths, {"learning_curves", "update_angles", "delta_angles", "weight_angles"})
    assert all(path.parent == folder.figures for path in paths)
    assert len(list(folder.figures.iterdir())) == len(paths)  # no temporary file stays
    curves = texts((folder.figures / "learning_curves.svg").read_text())
    for label in ("Accuracy", "Loss", "epoch", "test", "training", "2 seeds"):
        assert label in curves
    angles = texts((folder.figures / "update_angles.svg").read_text())
    for label in ("of weights", "layer 1", "layer 2", "90°"):
        assert label in angles
    deltas = texts((folder.figures / "delta_angles.svg").read_text())
    assert "of deltas" in deltas and "layer 2" in deltas
    assert "layer 1" not in deltas  # has none
    assert "W2~B2" in texts((folder.figures / "weight_angles.svg").read_text())


def test_a_comparison_is_drawn(tmp_path):
    paths = figures.draw_comparison(runs.comparison(), tmp_path / "figures", classes=10)
    check_files(paths, {"accuracy", "learning_curves", "slowness", "learning_rates"})
    for path in paths:
        if path.suffix == ".svg":
            shown = texts(path.read_text())
            assert "pepita:mode=hebbian" in shown and "backprop" in shown
    assert "drtp" not in texts((tmp_path / "figures" / "accuracy.svg").read_text())


def test_the_same_run_gives_the_same_bytes(tmp_path):
    folder = RunFolder.open(runs.write_run(tmp_path / "run"))
    first = {path: path.read_bytes() for path in figures.draw_run(folder)}
    second = {path: path.read_bytes() for path in figures.draw_run(folder)}
    assert first == second


def test_nothing_is_drawn_of_a_run_without_records(tmp_path):
    with RunFolder.create(tmp_path / "run", "x") as folder:
        folder.write_config({"command": "train", "rule": {"name": "pepita"}})
        assert figures.draw_run(folder) == []


def test_one_seed_one_epoch_and_diverged_seeds_can_be_drawn():
    one = from_metrics(runs.metrics(epochs=0, seeds=1), "pepita")
    assert "1 seed" in texts(_style.svg(figures.learning_curves([one])))
    lost = from_metrics(runs.metrics(), "pepita")
    lost.values["test_accuracy"][2:, 0] = np.nan
    lost.values["loss"][2:] = np.nan
    figures.learning_curves([lost])
    assert figures.slowness_rows([lost], 10)[0]["std"] == 0  # the other seed alone


def test_angles_that_older_records_lack_are_drawn_from_where_they_begin():
    records = runs.metrics()
    for record in records[:2]:
        del record["delta_angle"]
    of_deltas = from_metrics(records, "pepita").angles["delta_angle"]
    assert np.isnan(of_deltas["layer 2"][:2]).all()
    np.testing.assert_array_equal(of_deltas["layer 2"][2:, 0], 80 - np.arange(2, len(records)))
    for record in records:
        record["delta_angle"] = {"layer 1": [None, None]}
    assert "delta_angle" not in from_metrics(records, "pepita").angles


def test_names_are_shown_as_they_are(tmp_path):
    odd = "_$x^2$ <b>&\\ 学习"
    series = from_metrics(runs.metrics(), "mine", odd)
    shown = texts(_style.svg(figures.learning_curves([series, series])))
    assert odd in shown
    _style.png(figures.learning_curves([series, series]))


def test_many_layers_name_the_first_and_the_last():
    layers = {f"layer {i}": np.full((3, 1), 90.0 - i) for i in range(1, 21)}
    series = Series("x", "x", np.arange(3), {}, {"update_angle": layers})
    shown = texts(_style.svg(figures.angles(series, "update_angle")))
    assert "layer 1 " in shown + " " and "layer 20" in shown
    assert shown.count("layer") == 8


def test_slowness_rows_are_the_fits_of_the_seeds():
    (row, *_) = figures.slowness_rows([from_row(runs.comparison()[0])], 10)
    assert row["label"] == "backprop"
    assert 0 < row["mean"] < 1 and row["meaningful"]


def test_slowness_ends_at_the_first_step_of_the_rate():
    n = np.arange(1, 13)
    curve = np.where(n <= 8, 0.8 * n / (2 + n), 0.95)
    accuracy = [[0.1], *curve[:, None].tolist()]
    row = {"rule": "backprop", "curve": {"epoch": [0, *n.tolist()], "test_accuracy": accuracy}}
    (whole,) = figures.slowness_rows([from_row(row)], 10)
    (cut,) = figures.slowness_rows([from_row({**row, "first_decay": 8.0})], 10)
    assert (whole["mean"], whole["best"]) == slowness(curve, 10)[:2]
    assert (cut["mean"], cut["best"]) == slowness(curve[:8], 10)[:2]


def test_a_rule_keeps_its_look_and_namesakes_differ():
    assert _looks.looks(["PEPITA"]) == _looks.looks(["pepita:mode=hebbian"])
    assert _looks.looks(["x", "BP", "pepita"])[2] == _looks.looks(["pepita"])[0]
    several = _looks.looks(["pepita", "pepita", "mine", "other", "backprop"])
    assert len(set(several)) == 5
    controls = _looks.looks(["shallow", "frozen hidden (tanh)", "drtp", "pepita", "shallow"])
    assert {look.colour for look in (*controls[:2], controls[4])} == {_looks.MUTED}
    assert len(set(controls)) == 5
    assert len(_looks.looks([f"rule {i}" for i in range(60)])) == 60


def test_labels_are_moved_apart_and_no_further():
    apart = _style._apart(np.array([0.5, 0.5, 0.1]), 0.1)
    np.testing.assert_allclose(apart, [0.45, 0.55, 0.1])
    assert _style._apart(np.array([0.99, 1.0]), 0.2).max() == pytest.approx(1)
    np.testing.assert_allclose(_style._apart(np.array([0.2, 0.8]), 0.1), [0.2, 0.8])


def test_damaged_records_are_refused():
    records = runs.metrics()
    records[2]["test_accuracy"] = [0.5]
    with pytest.raises(MetaplasticError, match="'test_accuracy' is recorded for different numbers"):
        from_metrics(records, "pepita")


def test_without_matplotlib_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    folder = RunFolder.open(runs.write_run(tmp_path / "run"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'metaplastic\[plot\]'"):
        figures.draw_run(folder)
    assert not folder.figures.exists()


def test_no_pyplot_and_no_jax_are_imported(tmp_path):
    runs.write_run(tmp_path / "run")
    code = """
import sys
from metaplastic.report import figures
from metaplastic.report.records import RunFolder
assert "matplotlib" not in sys.modules
figures.draw_run(RunFolder.open(sys.argv[1]))
assert not {"matplotlib.pyplot", "jax"} & sys.modules.keys()
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "run")]
    subprocess.run(command, check=True)
