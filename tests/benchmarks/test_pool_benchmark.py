"""The benchmark's reference computes what the library computes."""

import numpy as np
import pytest

from metaplastic.benchmarks import pool
from metaplastic.rules._pool_terms import PUBLISHED


@pytest.mark.slow
def test_the_eager_loop_has_the_same_meta_gradient(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(pool, "_WIDTHS", (8, 7, 6, 10))
    monkeypatch.setattr(pool, "_UPDATES", 5)
    monkeypatch.setattr(pool, "_QUERIES", 4)
    monkeypatch.setattr(pool, "_THETA", dict.fromkeys(PUBLISHED, 0.01) | {"pseudo_gradient": 0.1})
    theirs = [float(own) for own in pool._torch()()]
    each = [float(own) for own in pool._torch(stacked=False)()]
    np.testing.assert_allclose(each, theirs, rtol=1e-4)
    for given in ({"stacked": True}, {"stacked": False}, {"stacked": True, "devices": 2}):
        ours = pool._ours(**given)()
        np.testing.assert_allclose([float(ours[name][0]) for name in PUBLISHED], theirs, rtol=1e-3)
