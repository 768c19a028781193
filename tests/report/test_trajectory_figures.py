"""Trajectories of meta-parameters: which records have them, and what they show."""

import xml.etree.ElementTree as ElementTree

import numpy as np

from metaplastic.report import _style
from metaplastic.report.trajectory_figures import trajectory_figures


def records(count=4, seeds=3):
    ramp = np.arange(seeds, dtype=float)
    return [
        {
            "step": 10 * i,
            "values": {
                "rate": (ramp + i).tolist(),
                "coefficients": np.outer(ramp, [1.0, -1.0]).tolist(),
                "many": np.linspace(0, 1, seeds * 20).reshape(seeds, 4, 5).tolist(),
            },
        }
        for i in range(count)
    ]


def test_a_panel_an_array_and_a_line_a_number():
    (figure,) = trajectory_figures([{"step": 0}, *records()]).values()
    rate, coefficients, many = (own for own in figure.axes if own.axison)
    middle = rate.lines[-2]  # the last is zero
    np.testing.assert_array_equal(middle.get_xdata(), [0, 10, 20, 30])
    np.testing.assert_array_equal(middle.get_ydata(), [1, 2, 3, 4])
    assert [len(own.lines) for own in (rate, coefficients, many)] == [3 + 1 + 1, 2 + 1, 5 + 1]
    shown = " | ".join(ElementTree.fromstring(_style.svg(figure)).itertext())
    for words in ("rate", "coefficients", "[1]", "75%", "meta-step"):
        assert words in shown


def test_no_trajectories_without_values_or_with_too_few():
    assert trajectory_figures([{"step": 0}, {"step": 1, "meta_loss": [1.0]}]) == {}
    assert trajectory_figures(records(2)) == {}
