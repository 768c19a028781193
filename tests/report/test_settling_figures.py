"""Figures of learners that settle: what they show, and of which numbers."""

import xml.etree.ElementTree as ElementTree

import learner_rows as rows
import numpy as np

from metaplastic.report import _learner_runs, _style, settling_figures
from metaplastic.report.draw import draw
from metaplastic.report.records import RunFolder
from metaplastic.report.studies import beta as beta_figures, wheel


def texts(figure):
    return " | ".join(ElementTree.fromstring(_style.svg(figure)).itertext())


def errors(label="one-sided", bound=True):
    beta = [1e-3, 1e-2, 1e-1]
    error = [[0.5, 0.1, 0.3], [0.05, 0.2, None]]
    data = {"beta": beta, "steps": [10, 0], "error": error, "bound": error if bound else None}
    return {"experiment": "beta", "label": label, "figure": "beta", "data": data}


def reference():
    data = {"steps": [10, 0], "reference": [0.1, 0.0]}
    return {"experiment": "beta", "label": "cg", "figure": "beta", "data": data}


def agent(label="MAML"):
    radii, trials = [0.5, 0.99], [10, 100]
    turn = np.linspace(0, 6, 50)
    x = 0.95 * np.stack([np.cos(turn), np.sin(turn)], -1)
    policy = {"radius": 0.9, "x": x.tolist(), "arm": (np.arange(50) % 5).tolist()}
    regret = [[0.8, 0.2], [0.9, 0.7]]
    data = {"radii": radii, "trials": trials, "regret": regret, "policy": policy}
    return {"experiment": "wheel", "label": label, "figure": "wheel", "data": data}


def test_errors_over_beta_have_a_panel_a_contrast_and_mark_the_best():
    entries = [errors(), errors("symmetric", bound=False), reference()]
    figure = beta_figures.error_over_beta(entries)
    first, second = figure.axes
    best = [line for line in first.lines if line.get_marker() == "o"]
    assert [tuple(np.ravel(line.get_data())) for line in best] == [(1e-2, 0.1), (1e-3, 0.05)]
    dotted = [len([line for line in own.lines if line.get_linestyle() == ":"]) for own in (first,)]
    shown = texts(figure)
    for words in ("one-sided", "symmetric", "10 steps", "exact phases", "bound", "beta"):
        assert words in shown
    assert len(first.lines) > len(second.lines), dotted  # the bounds


def test_strengths_are_boxes_of_each_array_on_a_scale_that_holds_zeros():
    ranks = np.linspace(0, 1, 101)
    own = {"nodes.0.weight": ranks * 1e-2, "nodes.1.weight": np.zeros(101)}
    figures = settling_figures.strength_figures({"strengths": own})
    (axes,) = figures["strengths"].axes
    assert axes.get_xscale() == "log"
    box = axes.lines[1]
    np.testing.assert_allclose(box.get_xdata(), [2.5e-3, 7.5e-3])
    assert "nodes 0, weight" in texts(figures["strengths"])
    assert settling_figures.strength_figures({"end": own}) == {}


def test_wall_time_needs_seconds_of_more_than_one_learner():
    learners = rows.learners()
    assert settling_figures.wall_time_figures(learners) == {}
    for scale, row in enumerate(learners[:2], 1):
        row["curve"]["seconds"] = [scale * n for n in range(1, 6)]
    (figure,) = settling_figures.wall_time_figures(learners).values()
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[1].get_xdata(), [2, 4, 6, 8, 10])
    assert "Accuracy over wall time" in texts(figure)


def test_the_wheel_shows_regret_and_the_arms_taken():
    figures = wheel.figures([agent(), agent("uniform")])
    assert set(figures) == {"wheel_regret", "wheel_policies"}
    shown = texts(figures["wheel_regret"])
    for words in ("radius 0.5", "radius 0.99", "MAML", "uniform", "trials"):
        assert words in shown
    disc = figures["wheel_policies"].axes[0]
    arms = [line for line in disc.lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in arms] == [10] * 5
    assert "safe arm" in texts(figures["wheel_policies"])


def test_a_reproduction_draws_its_studies(tmp_path):
    numbers = {**reference(), "figure": None}  # a study that nothing draws
    with RunFolder.create(tmp_path / "run", "x") as folder:
        folder.write_config({"command": "reproduce", "paper": "cml"})
        folder.write_result({"rows": [], "studies": [errors(), reference(), agent(), numbers]})
    stems = {f"{path.parent.name}/{path.stem}" for path in draw(folder)}
    assert stems == {"beta/error_over_beta", "wheel/wheel_regret", "wheel/wheel_policies"}
    assert len(_learner_runs.studies_figures(folder.read_result() or {})) == 3
