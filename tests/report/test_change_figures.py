"""Figures of what changes do: the lines are the means that they say."""

import learner_rows as rows
import numpy as np

from metaplastic.report import change_figures


def line(figure, number=0):
    return np.asarray(figure.axes[0].lines[number].get_ydata())


def test_all_classes_met_so_far():
    matrix = rows.changes()["interference"]["retention"]
    figure = change_figures.tasks_seen([("FLP", matrix)], "accuracy")
    np.testing.assert_allclose(line(figure), [1, 0.75, 2 / 3, 0.625])
    assert figure.axes[0].get_xlabel() == "tasks learned so far"


def test_what_is_kept_at_the_end_and_what_was_learned():
    matrix = rows.changes()["interference"]["retention"]
    alone = change_figures.retention([("FLP", matrix)], "accuracy", what=("class", "classes"))
    np.testing.assert_allclose(line(alone, 0), [1, 1, 1, 1])
    np.testing.assert_allclose(line(alone, 1), [0.5, 0.5, 0.5, 1])
    assert alone.axes[0].get_xlabel() == "class, in the order learned"
    both = change_figures.retention([("FLP", matrix), ("OML", matrix)], "mean squared error")
    assert [text.get_text() for text in both.axes[0].texts][-2:] == ["FLP", "OML"]


def test_angles_of_layers():
    figure = change_figures.alignment(rows.changes()["alignment"]["cosine"])
    np.testing.assert_allclose(line(figure), 60)
    assert {text.get_text() for text in figure.axes[0].texts} >= {"layer 1", "layer 2"}


def test_interference_is_scaled_by_what_is_off_the_diagonal():
    measured = rows.changes()["interference"]
    cosines = np.eye(4) + 0.25 * (1 - np.eye(4))
    figure = change_figures.interference({**measured, "centred": cosines[None]})
    limits = [axes.images[0].get_clim()[1] for axes in figure.axes[:3]]
    assert limits == [1, 0.25, 1]


def test_what_is_not_there_or_not_finite_is_not_drawn():
    portrait = {"about": {"metric": np.asarray("accuracy")}, **rows.changes()}
    assert set(change_figures.change_figures([("a", portrait)])) == {
        *("tasks_seen", "retention", "interference", "alignment")
    }
    several = change_figures.change_figures([("a", portrait), ("b", portrait)])
    assert set(several) == {"tasks_seen", "retention"}
    lost = {"alignment": {"cosine": np.full((2, 3, 1), np.nan)}}
    assert change_figures.change_figures([("a", lost), ("b", {})]) == {}
