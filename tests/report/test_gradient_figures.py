"""The figure of meta-gradients: the estimators that have an error, the best on top."""

from metaplastic.report.gradient_figures import gradient_rows, meta_gradients
from metaplastic.report.learner_figures import comparison_figures


def row(label, error, memory=0.1):
    report = {"relative_error": error, "milliseconds": 2.0, "megabytes": memory}
    return {"label": label, "gradient": report, "test": None, "curve": None}


ROWS = [row("one", 0.5), row("two", 1e-12), row("three", None), {"label": "none", "test": None}]


def test_rows_with_an_error_the_best_first():
    assert [own["label"] for own in gradient_rows(ROWS)] == ["two", "one"]


def test_every_estimator_is_a_row_of_each_panel():
    figure = meta_gradients([*ROWS[:2], row("four", 2.0, memory=None)])
    axes = figure.axes
    assert [own.get_text() for own in axes[0].get_yticklabels()] == ["two", "one", "four"]
    dots = [[line for line in own.lines if line.get_marker() == "o"] for own in axes]
    assert [len(own) for own in dots] == [3, 3, 2]
    low, high = axes[0].get_xlim()
    assert low < 1e-9 and high > 2.0


def test_a_comparison_draws_it_where_two_have_an_error():
    assert "meta_gradients" in comparison_figures(ROWS[:2])
    assert "meta_gradients" not in comparison_figures([ROWS[0], ROWS[2]])
