"""BLUR's experiments: their arms are made, studies give rows and data, figures are drawn."""

import dataclasses
import types

import equinox as eqx
import jax.random as jr
import numpy as np
import pytest

from metaplastic.learners.blur import blur
from metaplastic.papers import _blur_asymmetry, _blur_elsewhere, _blur_studies, _blur_toy
from metaplastic.papers._blur_elsewhere import Elsewhere, elsewhere_study
from metaplastic.papers._blur_studies import RATES, Plane, descent_study
from metaplastic.papers.base import MetaArm, StudyArm
from metaplastic.papers.blur import PAPER
from metaplastic.report.records import RunFolder
from metaplastic.report.studies import (
    blur_asymmetry,
    blur_depth,
    blur_elsewhere,
    blur_synapses,
    blur_unrolls,
)
from metaplastic.testing._episodes import Clusters
from metaplastic.train.fit import Silent
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer

TASK = {"functions": ("xor", "or"), "held": ("nxor",), "moments": 2, "batch": 8, "queries": 8}
PLANE = Plane(TASK, (1, 3), lifetimes=2)
TINY = MetaOptions(steps=2, meta_batch=2, test_lifetimes=2)


def shaped(task, **options):
    """A learner without numbers."""
    return eqx.filter_eval_shape(lambda key: blur(task, **options, key=key), jr.key(0))


@pytest.mark.parametrize("own", PAPER.experiments, ids=lambda own: own.name)
def test_every_arm_is_one_of_its_experiment(own):
    for scale in ("quick", "full"):
        arms = own.arms(scale)
        assert arms and len({arm.setting for arm in arms}) == len(arms)
        for arm in arms:
            if isinstance(arm, MetaArm):
                arm.options.check()
                if arm.design.task.name == "plane_functions":
                    arm.design.make().build(jr.key(0))
            else:
                assert isinstance(arm, StudyArm) and arm.study is not None


def test_one_number_of_the_paper_is_quoted():
    quoted = [
        (own.name, arm.setting, arm.reported.value, arm.reported.provenance)
        for own in PAPER.experiments
        for arm in (*own.quick, *own.full)
        if arm.reported is not None
    ]
    # In percent, as the metric is; beside both scales.
    assert quoted == [("mnist", "BLUR, CMA-ES", 84.0, "source")] * 2
    (arm,) = [a for e in PAPER.experiments for a in e.full if a.reported is not None]
    task, learner = arm.design.task.fields, arm.design.learner.fields
    assert (task["data"], task["resize"], learner["hidden"]) == ("mnist", 14, (512,))
    assert arm.options.steps == 400 and arm.design.estimator.fields["population"] == 80


def test_gradient_descent_is_chosen_at_each_number_of_updates(monkeypatch, tmp_path):
    """The best rate differs with the number of updates, and is the best on held-out functions."""
    rates = np.asarray(RATES)

    def judge(self, learners, seed):
        best = np.asarray([0.03, 0.1, 1.0, 3.0])  # after 0, 1, 2, 3 updates
        held = 0.9 - np.abs(np.log(rates[:, None] / best))[:, None] / 10 + seed / 100
        return {"held": held, "trained": 1 - np.repeat(held, 2, 1)}

    monkeypatch.setattr(Plane, "judge", judge)
    monkeypatch.setattr(_blur_studies, "descent", lambda *given: given)
    with RunFolder.create(tmp_path / "run", "x") as folder:
        found = descent_study(PLANE, (3,))((0, 1), folder, Silent())
    assert found.data["rates"] == [0.03, 0.1, 1.0, 3.0]
    assert {name: own.tolist() for name, own in found.rows.items()} == {
        "1 updates": pytest.approx([0.9, 0.91]),
        "3 updates": pytest.approx([0.9, 0.91]),
    }
    assert found.data["trained"]["accuracy"].shape == (2, 2, 4)


@pytest.mark.slow
def test_studies(tmp_path):
    """What trains, with two meta-steps; the studies of accuracy are in test_blur_learning."""
    studies = {
        "depth": _blur_toy._depth_study(PLANE, 1, (1, 2), {}, TINY),
        "growth": _blur_toy._growth_study(6, {"oja": 0.1}, TINY),
        "asymmetry": _blur_asymmetry._study({"symmetric": True}, TINY, 1),
    }
    found = {}
    for name, study in studies.items():
        with RunFolder.create(tmp_path / name, "x") as folder:
            found[name] = study((0, 1), folder, Silent())
    for own in found.values():
        assert all(np.shape(row) == (2,) and np.isfinite(row).all() for row in own.rows.values())
    assert np.shape(found["depth"].data["accuracy"]) == (2, 2)
    assert np.shape(found["growth"].data["size"]) == (2, 7)
    assert min(min(own) for own in found["asymmetry"].data["asymmetry"]) > 0


@pytest.mark.slow
def test_studies_of_genomes_elsewhere(tmp_path, monkeypatch):
    """Each row is that of its place, beside gradient descent with the same rows."""
    monkeypatch.setattr(_blur_elsewhere, "RATES", (0.1, 1.0))
    task = {"data": "digits", "batch": 8, "moments": 2, "queries": 8}
    places = (
        Elsewhere("here"),
        Elsewhere("larger", {"resize": 10}, (4, 3), (1, 3)),
    )
    studies = (
        elsewhere_study(task, {"hidden": (3,), "init": "random"}, TINY, places, 2),
        _blur_elsewhere.descent_study(task, (3,), places, 2),
    )
    for index, study in enumerate(studies):
        with RunFolder.create(tmp_path / str(index), "x") as folder:
            found = study((0,), folder, Silent())
        assert list(found.rows) == ["here", "larger, 1 updates", "larger, 3 updates"]
        assert all(row.shape == (1,) and (row >= 0).all() for row in found.rows.values())
        assert all((row <= 1).all() for row in found.rows.values())


def test_a_genome_is_judged_where_it_is_put(monkeypatch, tmp_path):
    """The network, the lifetimes and the row of each place, without meta-training."""
    learner = shaped(Clusters(input_shape=(64,), outputs=10), hidden=(3,))
    trainer = types.SimpleNamespace(test_task=types.SimpleNamespace(moments=7))
    trained = types.SimpleNamespace(trainer=trainer, learners=lambda: [learner])
    monkeypatch.setattr(_blur_elsewhere, "meta_trained", lambda *a, **k: trained)
    seen = []

    def curve(own, held, keys):
        seen.append((own.shape.sizes, held.moments, held.batch, len(keys)))
        return np.arange(1 + held.moments) / 100

    monkeypatch.setattr(_blur_elsewhere, "_curve", curve)
    task = {"data": "digits", "batch": 8, "moments": 2}
    places = (Elsewhere("", {"batch": 4}), Elsewhere("wide", {"resize": 4}, (9,), (1, 5)))
    found = elsewhere_study(task, {}, TINY, places, 6)((0,), None, Silent())
    assert seen == [((64, 3, 10), 2, 4, 6), ((16, 9, 10), 5, 8, 6)]
    told = {name: own.tolist() for name, own in found.rows.items()}
    assert told == {"": [0.02], "wide, 1 updates": [0.01], "wide, 5 updates": [0.05]}
    assert {name: own.shape for name, own in found.data["accuracy"].items()} == {
        "": (1, 3),
        "wide": (1, 6),
    }
    assert found.data["horizon"] == 7


def test_the_horizon_is_that_of_the_last_lifetimes(monkeypatch):
    monkeypatch.setattr(
        _blur_elsewhere,
        "meta_trained",
        lambda design, options, *a, **k: types.SimpleNamespace(
            trainer=MetaTrainer(*design.make(), options), learners=list
        ),
    )
    growing = dataclasses.replace(TINY, steps=160, curriculum="task.moments=5+5/40")
    task = {"data": "digits", "batch": 8, "moments": 5}
    found = elsewhere_study(task, {"hidden": (3,)}, growing, (), 2)((0,), None, Silent())
    assert found.data["horizon"] == 20


def test_descent_is_at_the_rate_that_is_best_for_each_number_of_updates(monkeypatch):
    monkeypatch.setattr(_blur_elsewhere, "RATES", (0.1, 1.0))

    def curve(own, held, keys):
        return np.array([0.1, 0.9, 0.2]) if float(own.rate) < 0.5 else np.array([0.1, 0.3, 0.8])

    monkeypatch.setattr(_blur_elsewhere, "_curve", curve)
    task = {"data": "digits", "batch": 8, "moments": 2}
    places = (Elsewhere("here", updates=(1, 2)),)
    found = _blur_elsewhere.descent_study(task, (3,), places, 2)((0, 1), None, Silent())
    assert found.data["accuracy"]["here"].tolist() == [[0.1, 0.9, 0.8]] * 2
    told = {name: own.tolist() for name, own in found.rows.items()}
    assert told == {"here, 1 updates": [0.9, 0.9], "here, 2 updates": [0.8, 0.8]}


def test_backpropagation_as_a_genome_has_a_symmetric_jacobian(tmp_path):
    fields = {**_blur_asymmetry._BACKPROPAGATION, "hidden": (3,)}
    with RunFolder.create(tmp_path / "run", "x") as folder:
        found = _blur_asymmetry._study(fields, None, 1)((0,), folder, Silent())
    assert found.rows[""].max() < 1e-3


def curve(*shape):
    return np.random.default_rng(0).uniform(0.5, 1, shape).tolist()


def test_figures():
    both = {
        "trained": {"names": ["xor", "and"], "accuracy": curve(3, 2, 31)},
        "held": {"names": ["or", "cross"], "accuracy": curve(3, 2, 31)},
        "horizon": 10,
    }
    entries = [{"label": name, "data": both} for name in ("BLUR", "SGD")]
    assert set(blur_unrolls.figures(entries)) == {"accuracy_over_updates", "held_out_functions"}
    for places in (["here"], ["here", "there", "elsewhere", "nowhere"]):
        shown = {"accuracy": {name: curve(2, 6) for name in places}}
        entries = [
            {"label": name, "numbers": {"": [0.5]}, "metrics": {}, "data": shown | own}
            for name, own in (("BLUR", {"horizon": 3}), ("SGD", {}))
        ]
        figure = blur_elsewhere.figures(entries)["accuracy_over_updates"]
        assert len(figure.axes) == len(places)
        assert len(figure.axes[-1].lines) == (5 if len(places) == 1 else 3)
    depths = [
        {"label": str(n), "data": {"trained": n, "tested": [1, 2, 4], "accuracy": curve(3, 2)}}
        for n in (1, 2)
    ]
    (figure,) = blur_depth.figures(depths).values()
    assert len(figure.axes[0].texts) == 6
    for factor, scale in ((1.0, "linear"), (1e3, "log")):
        size = (np.asarray(curve(2, 9)) * np.geomspace(1, factor, 9)).tolist()
        data = {"size": size, "accuracy": curve(2, 9), "horizon": 3}
        (figure,) = blur_synapses.figures([{"label": "Oja", "data": data}]).values()
        assert figure.axes[0].get_yscale() == scale
    (figure,) = blur_asymmetry.figures(
        [{"label": "BLUR", "data": {"asymmetry": curve(2, 10)}}]
    ).values()
    assert len(figure.axes[0].lines[0].get_xdata()) == 10
