"""Figures of what changes do: the lines are the means that they say."""

import learner_rows as rows
import numpy as np

from metaplastic.report import change_figures


def line(figure, number=0):
    return np.asarray(figure.axes[0].lines[number].get_ydata())


def test_all_classes_met_so_far():
    matrix = rows.changes()["retention"]["retention"]
    figure = change_figures.tasks_seen([("FLP", matrix)], "accuracy")
    np.testing.assert_allclose(line(figure), [1, 0.75, 2 / 3, 0.625])
    assert figure.axes[0].get_xlabel() == "tasks learned so far"


def test_what_is_kept_at_the_end_and_what_was_learned():
    matrix = rows.changes()["retention"]["retention"]
    alone = change_figures.retention([("FLP", matrix)], "accuracy", what=("class", "classes"))
    np.testing.assert_allclose(line(alone, 0), [1, 1, 1, 1])
    np.testing.assert_allclose(line(alone, 1), [0.5, 0.5, 0.5, 1])
    assert alone.axes[0].get_xlabel() == "class, in the order learned"
    both = change_figures.retention([("FLP", matrix), ("OML", matrix)], "mean squared error")
    assert [text.get_text() for text in both.axes[0].texts][-2:] == ["FLP", "OML"]


def test_bands_are_standard_errors():
    matrix = np.repeat(rows.changes()["retention"]["retention"], 3, axis=0)
    matrix[:3] -= 0.25
    figure = change_figures.retention([("FLP", matrix), ("OML", matrix)], "accuracy")
    mean, edges = line(figure), figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    error = matrix[:, -1].std(0) / 3
    assert np.isclose(edges[:, None], mean - error).any(0).all()


def test_many_learners_have_a_panel_each():
    matrix = rows.changes()["retention"]["retention"]
    many = [
        (name, matrix * factor) for name, factor in zip("abcd", (1, 0.9, 0.8, 0.02), strict=True)
    ]
    figure = change_figures.retention(many, "mean squared error")
    assert [axes.get_title("left") for axes in figure.axes] == list("abcd")
    for axes, (_, own) in zip(figure.axes, many, strict=True):
        assert axes.get_yscale() == "log"
        drawn = [np.asarray(one.get_ydata()) for one in axes.lines]
        assert len(drawn) == 4
        np.testing.assert_allclose(drawn[-1], own[:, -1].mean(0))


def test_angles_of_layers():
    figure = change_figures.alignment(rows.changes()["alignment"]["cosine"])
    np.testing.assert_allclose(line(figure), 60)
    assert {text.get_text() for text in figure.axes[0].texts} >= {"layer 1", "layer 2"}


def test_angles_of_learners():
    along, across = np.full((3, 6), 0.5), np.zeros((3, 6))
    figure = change_figures.alignments([("gradient", along), ("FLP", across)])
    np.testing.assert_allclose(line(figure), 60)
    np.testing.assert_allclose(line(figure, 1), 90)
    assert [text.get_text() for text in figure.axes[0].texts][-2:] == ["gradient", "FLP"]


def test_lifetimes_that_lack_a_moment_do_not_count_there():
    cosine = np.full((3, 6, 2), 0.5)
    cosine[1:, 4:] = np.nan
    shown = {"alignment": {"cosine": cosine, "overall": cosine[..., 0]}}
    (figure,) = change_figures.change_figures(shown).values()
    np.testing.assert_allclose(line(figure), 60)
    assert "mean and s.e. of 3 lifetimes" in str([text.get_text() for text in figure.axes[0].texts])
    cosine[0, 5:] = np.nan  # a moment that none has
    assert not change_figures.change_figures(shown)


def test_interference_is_scaled_by_what_is_off_the_diagonal():
    measured = rows.changes()["interference"]
    cosines = np.eye(4) + 0.25 * (1 - np.eye(4))
    figure = change_figures.interference({**measured, "centred": cosines[None]})
    limits = [axes.images[0].get_clim()[1] for axes in figure.axes[:3]]
    assert limits == [1, 0.25, 1]


def test_what_is_not_there_or_not_finite_is_not_drawn():
    portrait = {"about": {"metric": np.asarray("accuracy")}, **rows.changes()}
    assert set(change_figures.change_figures(portrait)) == {"interference", "alignment"}
    one, shared = [("a", portrait)], change_figures.shared_change_figures
    assert set(shared(one)) == {"tasks_seen", "retention"}
    assert set(shared([*one, ("b", portrait)])) == {"tasks_seen", "retention", "alignments"}
    lost = {"alignment": {"cosine": np.full((2, 3, 1), np.nan), "overall": np.ones((2, 3))}}
    assert change_figures.change_figures(lost) == change_figures.change_figures({}) == {}
    assert shared([("a", lost), ("b", {})]) == {}
