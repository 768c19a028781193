"""The loop: what it records, where it stops, and that it goes on as if nothing had happened."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_data import small_dataset

from metaplastic._errors import DivergedError, MetaplasticError
from metaplastic._json import dumps
from metaplastic.models import plastic_layers
from metaplastic.report.records import RunFolder
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.train import Trainer, TrainOptions, fit
from metaplastic.train.checkpoint import Checkpoints
from metaplastic.train.divergence import Divergence, find_divergence
from metaplastic.train.trainer import ChunkMetrics

SEEDS, RATES = (0, 1), (0.1, 0.1)
HUGE = 1e30


@functools.cache
def compiled() -> Trainer:
    """Three epochs of four steps, in chunks of three: some end within an epoch."""
    options = TrainOptions(hidden=(4,), batch_size=5, epochs=3, checkpoint_every=1, validation=2.0)
    trainer = Trainer(FeedbackAlignment(), small_dataset(), options)
    trainer.chunk_steps = 3
    return trainer


@pytest.fixture
def trainer() -> Trainer:
    return compiled()


@pytest.fixture
def folder(tmp_path):
    with RunFolder.create(tmp_path / "run", "run") as folder:
        yield folder


def leaves(state) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves((state.model, state.optimiser))]


def without_seconds(records) -> list[dict]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def assert_same_outcome(a, b) -> None:
    for mine, theirs in zip(leaves(a.state), leaves(b.state), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert without_seconds(a.records) == without_seconds(b.records)
    assert a.diverged == b.diverged


class Interrupting:
    """A reporter at whose n-th update a person presses Ctrl-C."""

    def __init__(self, after: int):
        self.after, self.seen = after, []

    def begin(self, total, *, unit="steps", title=""):
        self.total = total

    def compiling(self, what=""):
        pass

    def note(self, text): ...

    def update(self, done, metrics=None):
        self.seen.append((done, metrics))
        if len(self.seen) == self.after:
            raise KeyboardInterrupt


def test_records_are_one_an_epoch_and_those_of_the_chunks(trainer):
    told = Interrupting(after=0)
    outcome = fit(trainer, SEEDS, RATES, reporter=told)
    assert [(r["step"], r["epoch"]) for r in outcome.records] == [(0, 0), (4, 1), (8, 2), (12, 3)]
    assert "loss" not in outcome.records[0]
    assert [done for done, _ in told.seen] == [3, 4, 7, 8, 11, 12]
    assert told.total == 12
    state = trainer.initial(SEEDS, RATES)
    losses = []
    for step, length in ((0, 3), (3, 1)):
        state, metrics = trainer.chunk(state, jnp.int32(step), length=length)
        losses.append(np.asarray(metrics.loss, np.float64))
    np.testing.assert_allclose(outcome.records[1]["loss"], np.concatenate(losses, 1).mean(1))
    accuracy, loss = trainer.scores(state, trainer.batches.valid)
    np.testing.assert_array_equal(outcome.records[1]["valid_accuracy"], accuracy)
    np.testing.assert_array_equal(outcome.records[1]["valid_loss"], loss)
    for record in outcome.records:
        assert set(record["update_angle"]) == set(record["delta_angle"]) == {"layer 1", "layer 2"}
    assert set(outcome.records[1]["weight_angle"]) == {"W2~B2"}
    assert set(outcome.records[0]["weight_size"]) == {"|W1|", "|W2|", "|B2|/|W2|"}
    model = plastic_layers(trainer.model(outcome.state))
    expected = [np.linalg.norm(own) for own in np.asarray(model[0].weight)]
    np.testing.assert_allclose(outcome.records[-1]["weight_size"]["|W1|"], expected, rtol=1e-5)


def test_folder_changes_no_number(trainer, folder):
    kept = fit(trainer, SEEDS, RATES, folder=folder)
    assert_same_outcome(kept, fit(trainer, SEEDS, RATES))
    assert without_seconds(folder.read_metrics()) == without_seconds(kept.records)


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_interrupted_run_goes_on_to_the_same_bits(trainer, folder, after):
    """After 1, 3 and 5 updates an epoch is under way, and its sums are part of the state."""
    whole = fit(trainer, SEEDS, RATES)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, SEEDS, RATES, folder=folder, reporter=Interrupting(after))
    resumed = fit(trainer, SEEDS, RATES, folder=folder)
    assert_same_outcome(resumed, whole)
    assert without_seconds(folder.read_metrics()) == without_seconds(whole.records)


def test_finished_run_trains_no_step(trainer, folder):
    first = fit(trainer, SEEDS, RATES, folder=folder)
    told = Interrupting(after=1)
    assert_same_outcome(fit(trainer, SEEDS, RATES, folder=folder, reporter=told), first)
    assert told.seen == []


def test_two_newest_checkpoints_are_kept(trainer, folder):
    fit(trainer, SEEDS, RATES, folder=folder)
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == ["12", "8"]


# Divergence


def test_divergence_names_rule_seed_step_and_value_and_keeps_the_last_good_state(trainer, folder):
    with pytest.raises(DivergedError) as error:
        fit(trainer, (5, 6), (0.1, HUGE), folder=folder, name="feedback_alignment")
    message = str(error.value)
    assert message.startswith("feedback_alignment diverged at step ")
    assert "seed 6" in message
    assert "--lr 1e+30; try a rate ten times smaller, or --clip 1" in message
    assert f"is kept in {folder.checkpoints}" in message
    checkpoints = Checkpoints(folder.checkpoints, run=folder.path)
    step = checkpoints.latest()
    assert f"; step {step} is kept" in message
    like = {"state": trainer.initial((5, 6), (0.1, HUGE)), "sums": jnp.zeros((2, 4), jnp.uint32)}
    saved = checkpoints.restore(step, like)["state"]
    assert all(np.isfinite(leaf).all() for leaf in leaves(saved))


def test_divergence_of_one_replica_can_be_recorded(trainer, folder):
    outcome = fit(trainer, (5, 6), (0.1, HUGE), raise_divergence=False)
    assert list(outcome.diverged) == [1]
    alone = fit(trainer, (5, 5), (0.1, 0.1))
    assert outcome.records[-1]["loss"][0] == pytest.approx(alone.records[-1]["loss"][0], rel=1e-4)


@pytest.mark.parametrize("after", [3, 6])
def test_resumed_run_remembers_who_diverged(trainer, folder, after):
    whole = fit(trainer, (5, 6), (0.1, HUGE), raise_divergence=False)
    options = {"folder": folder, "raise_divergence": False}
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, (5, 6), (0.1, HUGE), reporter=Interrupting(after), **options)
    resumed = fit(trainer, (5, 6), (0.1, HUGE), **options)
    assert resumed.diverged == whole.diverged
    assert dumps(without_seconds(resumed.records)) == dumps(without_seconds(whole.records))


def test_run_whose_replicas_all_diverged_stops_without_a_warning(trainer, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = fit(trainer, SEEDS, (HUGE, HUGE), folder=folder, raise_divergence=False)
    assert sorted(outcome.diverged) == [0, 1]
    assert len(outcome.records) < 4


def metrics_of(loss, **finite) -> ChunkMetrics:
    return ChunkMetrics(jnp.asarray(loss), jnp.zeros((2, 3)), finite)


def test_first_loss_that_is_not_finite_is_found():
    nan, inf = float("nan"), float("inf")
    found = find_divergence(metrics_of([[1.0, nan, inf], [1.0, 2.0, 3.0]]), 40)
    assert found == {0: Divergence(41, "the loss", "nan")}
    found = find_divergence(metrics_of([[1.0, 1.0, inf], [nan, 2.0, 3.0]]), 40)
    assert {replica: own.step for replica, own in found.items()} == {0: 42, 1: 40}


def test_weight_that_is_not_finite_is_named_by_its_path():
    fine, broken = jnp.array([True, True]), jnp.array([True, False])
    metrics = metrics_of(jnp.ones((2, 3)), **{".nodes[1].weight": fine, ".nodes[2].bias": broken})
    assert find_divergence(metrics, 40) == {
        1: Divergence(42, "the weight .nodes[2].bias", "not finite")
    }


def test_nan_that_reaches_a_weight_ends_the_run(trainer, monkeypatch):
    """A weight is poisoned after the loss was computed: the path of the weight says where."""
    chunk = Trainer.chunk

    def poisoned(self, state, step, *, length):
        state, metrics = chunk(self, state, step, length=length)
        if int(step) < 4:
            return state, metrics
        path = next(iter(metrics.finite))
        return state, ChunkMetrics(
            metrics.loss, metrics.accuracy, metrics.finite | {path: jnp.array([True, False])}
        )

    monkeypatch.setattr(Trainer, "chunk", poisoned)
    with pytest.raises(
        DivergedError, match=r"at step 6 \(epoch 2, seed 1\): the weight \S*weight is"
    ):
        fit(trainer, SEEDS, RATES)


# Checkpoints


def test_checkpoint_of_another_network_is_refused_in_one_sentence(trainer, folder):
    fit(trainer, SEEDS, RATES, folder=folder)
    options = TrainOptions(hidden=(6,), batch_size=5)
    other = Trainer(FeedbackAlignment(), small_dataset(), options).initial(SEEDS, RATES)
    checkpoints = Checkpoints(folder.checkpoints, run=folder.path)
    with pytest.raises(MetaplasticError, match=r"checkpoints/12 cannot be used .*another network"):
        checkpoints.restore(12, {"state": other, "sums": jnp.zeros((2, 4), jnp.uint32)})


def test_keys_and_every_bit_survive_a_checkpoint(trainer, folder):
    state = trainer.initial(SEEDS, RATES)
    checkpoints = Checkpoints(folder.checkpoints, run=folder.path)
    checkpoints.save(7, state)
    back = Checkpoints(folder.checkpoints, run=folder.path).restore(7, state)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    np.testing.assert_array_equal(jax.random.key_data(back.key), jax.random.key_data(state.key))
    for mine, theirs in zip(leaves(back), leaves(state), strict=True):
        np.testing.assert_array_equal(mine, theirs)
