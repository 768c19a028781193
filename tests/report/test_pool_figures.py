"""Figures of rules over random feedback, from studies as they are recorded."""

import numpy as np

from metaplastic.report.studies import pool_coefficients, pool_lifetime


def test_the_terms_that_survive_are_named():
    steps = list(range(0, 101, 10))
    ramp = np.linspace(0, 1, len(steps))[:, None] * np.ones(3)
    ends = {"pseudo_gradient": 0.05, "ehebb": -0.02, "oja": 0.01, "decay": 0.0}
    values = {name: (end * ramp).tolist() for name, end in ends.items()}
    alive = ["pseudo_gradient", "ehebb", "oja"]
    norms = dict.fromkeys(ends, 1.0) | {"ehebb": 2.0}
    data = {"steps": steps, "values": values, "norms": norms, "survivors": alive}
    figures = pool_coefficients.figures([{"label": "ten terms", "data": data}])
    first, others = figures["pool_coefficients"].axes
    assert "pseudo gradient" in [own.get_text() for own in first.texts]
    assert [own.get_text() for own in others.texts] == ["ehebb", "oja"]
    assert others.get_title(loc="left") == "the other terms; 3 of 4 survive"
    curve = next(own for own in others.lines if np.min(own.get_ydata()) < -0.01)
    assert np.allclose(curve.get_ydata(), 2 * -0.02 * ramp[:, 0])


def test_lifetimes_layer_by_layer():
    moment = list(range(10, 251, 10))
    fall = np.linspace(1, 0.2, len(moment))[:, None]
    entries = [
        {
            "label": label,
            "data": {
                "moment": moment,
                "angle": (scale * 90 * fall * np.ones(4)).tolist(),
                "defect": (scale * fall * np.ones(5)).tolist(),
                "accuracy": (scale * (1 - fall[:, 0])).tolist(),
            },
        }
        for label, scale in (("feedback alignment", 1.0), ("Oja", 0.5))
    ]
    figures = pool_lifetime.figures(entries)
    drawn = [sum(own.axison for own in figure.axes) for figure in figures.values()]
    assert drawn == [4, 5, 1]
    below, above = figures["error_angles"].axes[0].lines[:2]
    assert np.allclose(below.get_ydata(), 90 * fall[:, 0])
    assert np.allclose(above.get_ydata(), 45 * fall[:, 0])
    (accuracy,) = figures["accuracy_in_a_lifetime"].axes
    assert {own.get_text() for own in accuracy.texts} >= {"feedback alignment", "Oja"}
