"""Figures of meta-trained learners: what they show, and of which numbers."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import learner_rows as rows
import numpy as np
import pytest

from metaplastic.report import _learner_runs, _style, learner_figures
from metaplastic.report._learner_series import finals, from_learner_row, from_meta_run
from metaplastic.report.draw import draw
from metaplastic.report.records import RunFolder


def texts(figure):
    return " | ".join(ElementTree.fromstring(_style.svg(figure)).itertext())


def series(metric="mean squared error", **options):
    return from_meta_run(rows.records(**options), "mine", metric, higher_is_better=False)


def test_a_run_has_one_panel_where_the_loss_is_the_metric():
    figure = learner_figures.meta_learning_curves([series()])
    shown = texts(figure)
    assert len(figure.axes) == 1 and "Loss" not in shown
    for words in ("Mean squared error", "quartiles of 2 seeds", "lower is better", "meta-step"):
        assert words in shown


def test_lines_are_medians_and_axes_logarithmic_over_decades():
    records = rows.records(seeds=2)
    for record in records:
        if "meta_loss" in record:
            record["meta_loss"] = record["meta_metric"] = [1.0, 3.0 * record["step"], 2.0]
        for name in ("test_loss", "test_metric"):
            if name in record:
                record[name] = [300.0, 1.0, 2.0]
    figure = learner_figures.meta_learning_curves([from_meta_run(records, "x", "error")])
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 2.0)
    assert axes.get_yscale() == "linear"
    records[1]["meta_loss"] = records[1]["meta_metric"] = [500.0, 500.0, 500.0]
    figure = learner_figures.meta_learning_curves([from_meta_run(records, "x", "error")])
    assert figure.axes[0].get_yscale() == "log"


def test_several_learners_are_named_and_parts_are_percentages():
    own = [from_learner_row(row) for row in rows.learners()]
    assert own[2] is None
    figure = learner_figures.meta_learning_curves(own[:2])
    shown = texts(figure)
    assert len(figure.axes) == 2 and "Accuracy" in shown and "Loss" in shown
    assert "FLP" in shown and "OML (first order)" in shown and "80%" in shown


def test_final_numbers_are_in_the_unit_of_the_table_and_beside_the_papers():
    flp, oml = finals(rows.learners(), rows.reproduced())
    np.testing.assert_allclose(flp.values, [89, 91])
    assert (flp.paper, flp.paper_std, flp.metric) == (91.0, 0.5, "test accuracy, %")
    assert oml.paper is None  # quoted from memory
    shown = texts(learner_figures.final_tests([flp, oml]))
    for words in ("diamond: the paper", "higher is better", "test accuracy, %", "FLP"):
        assert words in shown
    assert "diamond" not in texts(learner_figures.final_tests(finals(rows.learners())))


def test_a_measure_stands_for_the_test_and_says_its_direction():
    row = {**rows.learners()[0], "measure": [0.1, 0.3]}
    beside = [{**rows.reproduced()[0], "metric": "error of the last episodes"}]
    (own,) = finals([row], beside)
    assert own.mean == pytest.approx(0.2) and own.higher_is_better is False


def test_other_metrics_have_panels_of_their_own():
    row = {**rows.learners()[0], "label": "regression", "test": rows.TEST}
    figure = learner_figures.final_tests(finals([*rows.learners(), row]))
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "accuracy, % (higher is better)",
        "mean squared error (lower is better)",
    ]


def test_rates_mark_the_chosen_one_and_what_diverged():
    figure = learner_figures.learner_rates(rows.learners())
    axes = figure.axes[0]
    assert axes.get_xlabel() == "learning rate of the lifetime"
    crosses = [line for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in crosses] == [[0.01]]
    chosen = [line for line in axes.lines if line.get_markersize() == 5.5]
    assert [list(line.get_xdata()) for line in chosen] == [[0.1], [1.0]]


def test_spikes_of_skipped_meta_steps_do_not_flatten_the_curves():
    records = rows.records(seeds=1, steps=40)
    trained = [record for record in records if "meta_loss" in record]
    for record in trained:
        record["meta_loss"] = record["meta_metric"] = [2.0]
    calm = learner_figures.meta_learning_curves([from_meta_run(records, "x", "error")])
    assert "spikes" not in texts(calm)
    trained[len(trained) // 2]["meta_loss"] = trained[len(trained) // 2]["meta_metric"] = [1e30]
    figure = learner_figures.meta_learning_curves([from_meta_run(records, "x", "error")])
    assert "spikes are cut off" in texts(figure)
    assert figure.axes[0].get_ylim()[1] < 1000


def test_one_seed_one_record_and_lost_seeds_can_be_drawn():
    one = series(seeds=1, steps=1)
    assert "1 seed" in texts(learner_figures.meta_learning_curves([one]))
    lost = series()
    lost.values["meta_metric"][2:, 0] = np.nan
    _style.png(learner_figures.meta_learning_curves([lost]))


def test_a_run_is_drawn(tmp_path):
    path = rows.write_meta_run(tmp_path / "run", portrait=rows.flat_portrait())
    figures = _learner_runs.run_figures(RunFolder.open(path))
    assert set(figures) == {
        *("meta_learning_curves", "lifetime", "fast_state", "adapted_curves", "meta_parameters"),
        *("tasks_seen", "retention", "interference", "alignment"),
    }
    first = _style.svg(figures["meta_parameters"])
    again = _learner_runs.run_figures(RunFolder.open(path))["meta_parameters"]
    assert _style.svg(again) == first


def test_every_command_is_drawn(tmp_path):
    run = RunFolder.open(rows.write_meta_run(tmp_path / "run"))
    assert {path.name for path in draw(run)} == {
        "meta_learning_curves.png",
        "meta_learning_curves.svg",
    }
    with RunFolder.create(tmp_path / "compare", "x") as folder:
        folder.write_config({"command": "compare", "kind": "learners"})
        folder.write_result({"learners": rows.learners()})
    stems = {path.stem for path in draw(folder)}
    assert stems == {"learners", "learner_rates", "meta_learning_curves"}
    with RunFolder.create(tmp_path / "reproduce", "x") as folder:
        folder.write_config({"command": "reproduce", "paper": "flp"})
        folder.write_result({"learners": rows.learners("e")[2:], "rows": rows.reproduced("e")})
    assert draw(folder) == []  # its only learner diverged


def test_portraits_in_the_parts_of_a_run_are_found(tmp_path):
    for label in ("e-OML__first_order_", "e-FLP"):
        final = tmp_path / "parts" / label / "parts" / "final"
        final.mkdir(parents=True)
        np.savez(final / "portrait.npz", **rows.flat_portrait())
    figures = _learner_runs.rows_figures(tmp_path, rows.learners("e"))
    assert {("retention", ""), ("learners", ""), ("lifetime", "FLP")} <= set(figures)
    assert {("fast_state", "OML (first order)"), ("interference", "FLP")} <= set(figures)
    shown = texts(figures["retention", ""])
    assert "FLP" in shown and "OML (first order)" in shown


def test_nothing_is_drawn_of_a_run_that_has_only_begun(tmp_path):
    with RunFolder.create(tmp_path / "run", "x") as folder:
        folder.write_config({"command": "meta", "design": rows.DESIGN})
        assert draw(folder) == []


def test_no_jax_is_imported(tmp_path):
    rows.write_meta_run(tmp_path / "run", portrait=rows.flat_portrait())
    code = """
import sys
from metaplastic.report import _learner_runs, draw
from metaplastic.report.records import RunFolder
assert "matplotlib" not in sys.modules
assert len(_learner_runs.run_figures(RunFolder.open(sys.argv[1]))) == 9
assert not {"matplotlib.pyplot", "jax"} & sys.modules.keys()
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "run")]
    subprocess.run(command, check=True)
