"""What is said against estimates: every reason once, and nothing of what was skipped."""

import types

import numpy as np

from metaplastic.train import meta_warnings
from metaplastic.train.meta_warnings import MetaWarnings, finite_means


class Estimator:
    """Complains of every measure above one half."""

    def advice(self, quality):
        return {name: f"{name} is {own:.2g}" for name, own in quality.items() if own > 0.5}


def test_every_reason_is_said_once_with_what_was_worst(monkeypatch):
    asked = []

    def worst(trainer, replica, step, measure):
        asked.append((int(replica), step, measure))
        return "lifetime 3"

    monkeypatch.setattr(meta_warnings, "worst_lifetime", worst)
    warnings = MetaWarnings(types.SimpleNamespace(estimator=Estimator()), lambda i: str(10 + i))
    state = np.array([0, 1])
    quality = {"a": np.array([[0.2, 0.9], [0.9, 0.9]]), "b": np.zeros((2, 2))}
    told = warnings.hear(quality, (4, 6), state)
    assert told == ["from meta-step 6 on: a is 0.72; worst in meta-step 4 (seed 11), lifetime 3"]
    quality["b"] = np.ones((2, 2))
    [second] = warnings.hear(quality, (6, 8), state)
    assert second.startswith("from meta-step 8 on: b is 1;")
    assert warnings.hear(quality, (8, 10), state) == []
    assert str(warnings) == f"{told[0]}\n{second}"
    assert asked == [(1, 4, "a"), (0, 6, "b")]


def test_what_is_not_finite_counts_for_nothing():
    assert finite_means({"a": np.array([[np.nan, 1.0], [3.0, np.inf]])}) == {"a": 2.0}
    assert finite_means({"a": np.full((1, 2), np.nan), "b": np.ones((1, 2))}) == {}
    assert finite_means({}) == {}
