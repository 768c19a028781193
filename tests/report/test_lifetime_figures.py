"""Figures of one lifetime and of matrices: which numbers are where."""

import learner_rows as rows
import numpy as np

from metaplastic.report import _maps, _style, lifetime_figures, map_figures


def names(axes):
    return [text.get_text() for text in axes.texts]


def images(figure):
    """Data of the images of a figure by the name beside them, colour bars left out."""
    return {names(a)[0]: a.images[0].get_array() for a in figure.axes if a.images and names(a)}


def test_rows_of_a_lifetime():
    life = rows.lifetime()
    figure = lifetime_figures.lifetime_rows(life, classes=True)
    shown = images(figure)
    assert list(shown)[:3] == ["input", "target", "answer"]
    assert "trace, layer 1" in shown
    weight = life["state/model.nodes.1.weight"]
    change = shown["nodes.1.weight,\nchange"]
    np.testing.assert_allclose(change[:, 0], (weight[1] - weight[0]).ravel())
    np.testing.assert_allclose(shown["input"], life["x"][:, 0].T)
    np.testing.assert_allclose(shown["answer"].sum(0), 1)  # probabilities
    np.testing.assert_allclose(shown["trace, layer 1"][:, -1], life["state/0.trace"][-1].ravel())
    (answer,) = [axes for axes in figure.axes if names(axes)[:1] == ["answer"]]
    (wrong,) = answer.lines
    assert list(wrong.get_xdata()) == [2, 3, 4, 5]  # not the first two, which do not count
    assert "moment" in [axes.get_xlabel() for axes in figure.axes]


def test_probabilities_are_shown_on_the_scale_of_the_target():
    life = {**rows.lifetime(), "output": np.zeros_like(rows.lifetime()["output"])}
    figure = lifetime_figures.lifetime_rows(life, classes=True)
    limits = {names(a)[0]: a.images[0].get_clim() for a in figure.axes if a.images and names(a)}
    assert limits["answer"] == limits["target"] == (0, 1)


def test_answers_that_are_no_classes_are_shown_as_they_are():
    life = rows.lifetime()
    figure = lifetime_figures.lifetime_rows(life)
    np.testing.assert_allclose(images(figure)["answer"], life["output"][:, 0].T)


def test_images_stand_in_a_row_and_large_inputs_are_left_out():
    life = {**rows.lifetime(4), "x": np.arange(4 * 9.0).reshape(4, 1, 3, 3, 1)}
    strip = images(lifetime_figures.lifetime_rows(life))["input"]
    np.testing.assert_array_equal(strip[:, 3:6], life["x"][1, 0, ..., 0])
    wide = {**rows.lifetime(4), "x": np.zeros((4, 1, 1000))}
    assert "input" not in images(lifetime_figures.lifetime_rows(wide))


def test_fast_state_from_birth_to_the_end():
    life = rows.lifetime(40)
    figure = lifetime_figures.fast_state(life)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[0] == "at birth" and titles[-1] == "at the end" and len(titles) == 6
    shown = [axes.images[0].get_array() for axes in figure.axes[:12]]
    np.testing.assert_allclose(shown[5], life["state/0.trace"][-1])
    weight = life["state/model.nodes.1.weight"]
    np.testing.assert_allclose(shown[6], weight[0])
    np.testing.assert_allclose(shown[11], weight[-1] - weight[0])
    low, high = figure.axes[11].images[0].get_clim()
    assert low == -high


def test_curves_before_and_after():
    figure = lifetime_figures.adapted_curves(rows.curves(5))
    drawn = [axes for axes in figure.axes if axes.get_visible()]
    assert len(drawn) == 5
    labels = [line.get_label() for line in drawn[0].lines]
    assert labels == ["target", "before", "after the lifetime", "points met"]
    _style.png(figure)


def test_a_portrait_without_moments_or_matrices_has_no_figure_of_them():
    life = {k: v for k, v in rows.lifetime(1).items() if not k.startswith("state/")}
    assert lifetime_figures.lifetime_figures({"lifetime": life}) == {}
    assert map_figures.map_figures({"start": {}, "end": {}}) == {}


def test_maps_have_one_symmetric_scale_before_and_after():
    start, end = {"a": np.ones((2, 3)), "b": np.ones((1, 1))}, {"a": np.full((2, 3), -5.0)}
    figure = map_figures.parameter_maps(start, end)
    before, after, change = (axes.images[0] for axes in figure.axes[:3])
    assert before.get_clim() == after.get_clim() == (-5, 5)
    np.testing.assert_allclose(change.get_array(), -6)
    assert "a\n2 × 3" in names(figure.axes[0])


def test_many_and_broken_matrices_can_be_drawn():
    many = {f"some.long.path.to.weights.{i}": np.full((2, 2), np.nan) for i in range(14)}
    figure = map_figures.parameter_maps(many, many)
    assert any("4 more" in text.get_text() for text in figure.texts)
    _style.png(figure)


def test_one_synapse_that_runs_away_does_not_set_the_scale():
    matrix = np.linspace(0.5, 1, 900).reshape(30, 30)
    assert _maps.reach(matrix, np.zeros((2, 2))) == 1
    matrix[3, 4] = 7e4
    np.testing.assert_allclose(_maps.reach(matrix), 1)
    assert _maps.reach(matrix[:, 4]) == 7e4  # few values are all shown
