"""Genomes that were meta-trained on some functions of the plane learn others."""

import jax
import numpy as np
import pytest

from metaplastic.papers._blur_studies import Plane, descent_study, genome_study
from metaplastic.papers._blur_toy import QUICK
from metaplastic.report.records import RunFolder
from metaplastic.train.fit import Silent

HELD = {"lifetimes": 8, "parts": ("held",)}
PLANE, SHORT = Plane({}, (10, 50), **HELD), Plane({}, (10,), **HELD)
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Held-out accuracies [seeds] after 10 and after 50 updates, and those of nxor after 10."""
    studies = {
        "normalised": genome_study(PLANE, {"hidden": (20,)}, QUICK),
        "not": genome_study(SHORT, {"hidden": (20,), "norm": "none"}, QUICK),
        "descent": descent_study(SHORT, (20,)),
    }
    found = {}
    jax.config.update("jax_disable_most_optimizations", False)  # as in the tests: it runs for long
    for name, study in studies.items():
        with RunFolder.create(tmp_path_factory.mktemp("runs") / name, "x") as folder:
            found[name] = study(SEEDS, folder, Silent())
    return found


@pytest.mark.slow
def test_unseen_functions_are_learned(judged, capsys):
    own = {name: found.rows["10 updates"] for name, found in judged.items()}
    with capsys.disabled():
        for name, found in judged.items():
            print(f"\n{name}: " + ", ".join(f"{k} {np.round(v, 3)}" for k, v in found.rows.items()))
    assert own["normalised"].mean() >= 0.83
    assert (own["normalised"] - own["descent"]).mean() >= 0.12
    assert (own["normalised"] - own["not"]).mean() >= 0.05
    data = judged["normalised"].data["held"]
    nxor = np.asarray(data["accuracy"])[:, data["names"].index("nxor"), 10]
    assert nxor.mean() >= 0.88


@pytest.mark.slow
def test_learning_goes_on_past_the_horizon(judged):
    """Five times the updates of meta-training cost no more than a little accuracy."""
    rows = judged["normalised"].rows
    assert rows["50 updates"].mean() >= rows["10 updates"].mean() - 0.03
