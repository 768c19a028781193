"""A learned rate under changed designs: rows, what is refused, and the standard variants."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from trained_runs import DESIGN, RATES, make_run

from metaplastic import _registry
from metaplastic._errors import MetaplasticError, UsageError
from metaplastic.analysis import transfer_run
from metaplastic.analysis.trained_run import read_trained
from metaplastic.analysis.transfer import evaluate, suite
from metaplastic.analysis.variants import Variant, changed, horizon_option, variants
from metaplastic.learners.lifetime import live
from metaplastic.report.records import RunFolder
from metaplastic.report.studies.transfer import figures, transfer_table
from metaplastic.tasks.few_shot import FewShot
from metaplastic.tasks.labelled_batches import LabelledBatches
from metaplastic.tasks.sinusoid_sequence import SinusoidSequence
from metaplastic.train.design import Design, Part


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("meta") / "run")


@pytest.fixture(scope="module")
def trained(folder):
    return read_trained(folder)


@pytest.fixture(scope="module")
def as_trained(trained):
    return evaluate(trained, Variant("as trained"))


def test_what_was_learned_is_read_back(trained):
    assert trained.seeds == (0, 1) and trained.chosen.tolist() == [0, 1]
    np.testing.assert_array_equal(trained.learner.rate, RATES[jnp.array([0, 3])])
    assert "rate" not in trained.untouched
    weights = {"model.nodes.1.weight", "model.nodes.2.weight"}
    assert weights <= trained.untouched
    # Neither would the lifetimes have read them: they are drawn anew at every birth.
    assert weights <= trained.unread and "rate" not in trained.unread


def test_the_design_itself_and_its_curve(as_trained):
    assert as_trained["untrained"]["mean"] != as_trained["trained"]["mean"]
    assert as_trained["drawn_anew"] == [] and as_trained["trained"]["not_finite"] == 0
    curve = np.array(as_trained["curve"]["trained"])
    assert curve.shape == (2, 3)
    np.testing.assert_allclose(curve[:, -1], as_trained["trained"]["per_seed"], rtol=1e-5)


@pytest.mark.slow
def test_a_learned_rate_in_a_wider_network(trained):
    changes = {"learner.hidden": (5, 5), "task.moments": 1}
    row = evaluate(trained, Variant("wider", changes), lifetimes=2)
    assert "model.nodes.1.weight" in row["drawn_anew"] and row["curve"] is None
    # By hand: the learner as seed 1 builds its second species, with the rate that this one learned.
    made = changed(DESIGN, changes).make()
    build_key, key = jr.split(jr.fold_in(jr.key(1), 1))
    learner = eqx.tree_at(lambda own: own.rate, made.build(build_key), RATES[3])

    @jax.jit
    def score(key):
        sample_key, life_key = jr.split(key)
        return live(learner, made.task.sample(sample_key), key=life_key).metric

    scores = [score(own) for own in jr.split(jr.fold_in(key, 1), 2)]
    assert row["trained"]["per_seed"][1] == pytest.approx(np.mean(scores), rel=1e-4)


def test_what_does_not_fit_is_a_row_or_an_error(trained, tmp_path):
    per_synapse = Variant("tensor", {"learner.rates": "tensor"})
    rows = suite(trained, [Variant("shots", {"task.shots": 0}), per_synapse])
    assert "--task.shots 0" in rows[0]["refused"]
    assert "is not among what was learned: pass --fresh rate" in rows[1]["refused"]
    with pytest.raises(UsageError, match="nothing that was learned fits this design"):
        evaluate(trained, per_synapse, fresh=("rate",))
    with RunFolder.create(tmp_path / "out", "transfer") as out:
        with pytest.raises(UsageError, match="is not among what was learned"):
            transfer_run.run(out, trained, changes=per_synapse.changes, folder=out)
        assert not out.config_path.exists()
    with pytest.raises(UsageError, match="this run has no color to change"):
        changed(DESIGN, {"color.red": 1})


def test_a_run_goes_on_after_what_it_has_done(folder, trained, as_trained, monkeypatch):
    done = {**as_trained, "refused": None}
    monkeypatch.setattr("metaplastic.analysis.transfer.evaluate", lambda run, own, **_: as_trained)
    with RunFolder.create(folder.path.parent / "transfer", "transfer") as out:
        result = transfer_run.run(
            folder, trained, changes={"task.moments": 5}, standard=False, folder=out
        )
        assert [row["variant"] for row in result["variants"]] == ["as trained", "as trained"]
        assert json.loads(out.result_path.read_text())["run"] == str(out.path)
        out.result_path.unlink()
        out.metrics_path.write_text(json.dumps({"schema": 1, **done, "variant": "kept"}) + "\n")
        again = transfer_run.resume(out)
    assert [row["variant"] for row in again["variants"]] == ["kept", "as trained"]
    config = out.read_config()
    assert config["variants"][1]["changes"] == {"task.moments": 5}
    assert config["variants"][1]["name"] == "task.moments 5"


def test_only_finished_runs_of_meta(tmp_path, folder):
    with RunFolder.create(tmp_path / "train", "train") as other:
        other.write_config({"command": "train"})
        with pytest.raises(UsageError, match="is a run of 'train'"):
            read_trained(other)
    with RunFolder.create(tmp_path / "empty", "meta") as other:
        other.write_config(folder.read_config())
        with pytest.raises(MetaplasticError, match="has no checkpoint"):
            read_trained(other)


def test_standard_variants_of_designs():
    names = {own.name: own.changes for own in variants(DESIGN)}
    assert names["lifetimes x10"] == {"task.moments": 20}
    assert names["hidden layers half as wide"] == {"learner.hidden": (1,)}
    assert names["one hidden layer more"] == {"learner.hidden": (3, 3)}
    assert "one hidden layer fewer" not in names and "activation tanh" not in names
    assert names["activation relu"] == {"learner.activation": "relu"}
    batches = Part("labelled_batches", {"ways": 4, "labels": "permuted"})
    digits = Design(learner=Part("online"), rule=Part("backprop"), task=batches)
    names = {own.name: own for own in variants(digits)}
    assert names["permuted inputs"].changes == {"task.permute": True}
    assert names["half as many classes"].changes == {"task.ways": 2}
    assert names["meta-training's own lifetimes"].seen and names["lifetimes x3"].longer
    assert names["hidden layers twice as wide"].changes == {"learner.hidden": (2048,)}


def test_classes_of_a_task_that_has_all_of_them_and_inputs_of_several():
    """Half of the classes of digits where lifetimes have all; no more than there are."""
    for name, learner in {"labelled_batches": "blur", "plane_functions": "blur"}.items():
        design = Design(learner=Part(learner), task=Part(name))
        found = {own.name: own.changes for own in variants(design)}
        assert found["permuted inputs"] == {"task.permute": True}
        assert "twice as many classes" not in found
        halves = {"task.ways": 5} if name == "labelled_batches" else None
        assert found.get("half as many classes") == halves


@pytest.mark.parametrize("name", _registry.names("tasks"))
def test_every_task_can_be_asked_for_its_horizon(name):
    """Where it needs no data: an option of the task that makes its lifetimes longer, or none."""
    task = _registry.load("tasks", name)()
    option = horizon_option(task)
    assert option is None or option in {own.name for own in dataclasses.fields(task)}


def test_what_makes_a_lifetime_longer():
    assert horizon_option(_registry.load("tasks", "associative_retrieval")()) == "pairs"
    assert horizon_option(LabelledBatches().load()) == "moments"
    assert horizon_option(FewShot().load()) == "shots"
    assert horizon_option(FewShot(moments=3).load()) == "moments"
    assert horizon_option(SinusoidSequence()) == "batches"


def test_table_and_figures(as_trained):
    refused = {"variant": "wider", "changes": {"a": 1}, "refused": "no"}
    ill = {**as_trained, "variant": "ill", "changes": {"b": 2}, "curve": None}
    ill["trained"] = {**ill["trained"], "not_finite": 0.5, "mean": None}
    data = {"metric": "accuracy", "higher_is_better": True, "variants": [as_trained, refused, ill]}
    table = transfer_table(data)
    assert [row[0] for row in table.rows] == ["as trained", "ill"]
    mean = as_trained["trained"]["mean"]
    assert table.rows[0][1].startswith(f"{100 * mean:.1f} ± ") and table.rows[1][1] == "—"
    assert table.notes == (
        "ill: 50 % of the lifetimes of the trained learner end in a loss that is no number",
        "wider: no",
    )
    drawn = figures([{"label": "online", "data": data}])
    assert set(drawn) == {"transfer", "transfer_over_moments"}
