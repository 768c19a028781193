"""The compiled trainer against the same run written out step by step, and against itself."""

import functools
from typing import Any, ClassVar, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from helpers import spread
from small_data import image_dataset, small_dataset

from metaplastic.losses import LOSSES
from metaplastic.models import mlp, plastic_layers, weights
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.base import AbstractRule, Aux
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.rules.flp import FLP
from metaplastic.rules.shallow import Shallow
from metaplastic.train import Trainer, TrainOptions
from metaplastic.train.batches import Split
from metaplastic.train.options import OptimiserName

OPTIONS = {"hidden": (4,), "batch_size": 5, "epochs": 3, "lr": 0.1, "alignment": False}


@functools.cache
def trainer_of(rule=None, dataset=None, **options) -> Trainer:
    """Kept, since compiling takes longer than all else."""
    return Trainer(
        rule or FeedbackAlignment(), dataset or small_dataset(), TrainOptions(**OPTIONS | options)
    )


def ran(trainer: Trainer, seeds=(0,), rates=(0.1,), *, steps=8, length=4):
    """State after `steps`, in chunks of `length` within epochs of four steps."""
    state, losses = trainer.initial(seeds, rates), []
    for step in range(0, steps, length):
        state, metrics = trainer.chunk(state, jnp.int32(step), length=length)
        losses.append(np.asarray(metrics.loss))
    return state, np.concatenate(losses, 1)


def assert_same(a: Any, b: Any) -> None:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    for mine, theirs in leaves:
        if jax.dtypes.issubdtype(mine.dtype, jax.dtypes.prng_key):
            mine, theirs = jr.key_data(mine), jr.key_data(theirs)
        np.testing.assert_array_equal(mine, theirs)


def assert_near(a: Any, b: Any) -> None:
    for mine, theirs in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=2e-6)


def first(tree: Any, index: int = 0) -> Any:
    return jax.tree.map(lambda leaf: leaf[index : index + 1], tree)


# The same numbers


def test_same_seed_same_numbers():
    a, b = ran(trainer_of()), ran(trainer_of())
    assert_same(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
    other = ran(trainer_of(), seeds=(1,))
    assert not np.array_equal(a[1], other[1])


@pytest.mark.parametrize("options", spread([{"dropout": 0.3, "optimiser": "adam"}, {}], 1))
def test_chunks_do_not_change_numbers(options, optimised):
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam
        trainer = trainer_of.__wrapped__(**options)  # not one that is compiled already
        whole, losses = ran(trainer, length=4)
        parts, own_losses = ran(trainer, length=1)
        assert_same(whole, parts)
        np.testing.assert_array_equal(losses, own_losses)


def test_batched_replicas_are_single_runs():
    """Seeds and rates in one program, in a loop, and alone."""
    seeds, rates = (3, 3, 7), (0.1, 0.02, 0.1)
    batched, losses = ran(trainer_of(parallel="batch"), seeds, rates)
    looped, loop_losses = ran(trainer_of(parallel="loop"), seeds, rates)
    assert_near(batched.model, looped.model)
    np.testing.assert_allclose(losses, loop_losses, rtol=1e-4)
    for index, (seed, rate) in enumerate(zip(seeds, rates, strict=True)):
        alone, _ = ran(trainer_of(parallel="loop"), (seed,), (rate,))
        assert_near(first(batched.model, index), alone.model)
    assert np.abs(losses[0] - losses[1]).max() > 1e-3
    assert np.abs(losses[0] - losses[2]).max() > 1e-3


def test_chunk_is_the_loop_written_out(small):
    """An independent loop: automatic differentiation, optax with the rate inside."""
    trainer = trainer_of(Backprop())
    state, losses = ran(trainer)
    key, _, data_key = jr.split(jr.key(0), 3)
    model = mlp((3,), 3, hidden=(4,), key=key)
    transform = optax.sgd(0.1, 0.9)
    memory = transform.init(weights(model))
    expected = []
    for step in range(8):
        epoch, within = divmod(step, 4)
        order = trainer.batches.order(jnp.int32(epoch), key=jr.fold_in(data_key, 0))
        chosen = np.asarray(order[within])
        x, y = jnp.asarray(small.x_train[chosen]), jnp.eye(3)[small.y_train[chosen]]
        loss, gradient = eqx.filter_value_and_grad(
            lambda own, x, y: LOSSES["cross_entropy"].value(own(x), y)
        )(model, x, y)
        update, memory = transform.update(gradient, memory)
        model = eqx.apply_updates(model, update)
        expected.append(float(loss))
    np.testing.assert_allclose(losses[0], expected, rtol=1e-4)
    assert_near(first(state.model), [w[None] for w in jax.tree.leaves(weights(model))])


@pytest.mark.parametrize("optimiser", spread(get_args(OptimiserName), 3))
def test_what_a_rule_does_not_train_stays_to_the_bit(optimiser):
    """Whatever decays or carries momentum; the layer that learns does decay."""
    options = {"optimiser": optimiser, "weight_decay": 0.1, "bias": True, "norm": "batch"}
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam
        trainer = trainer_of(Shallow(), **options)
        before = trainer.initial((0,), (0.1,))
        after, _ = ran(trainer)
    hidden, output = plastic_layers(trainer.model(before))
    hidden_after, output_after = plastic_layers(trainer.model(after))
    assert_same(hidden, hidden_after)
    for old, new in zip(jax.tree.leaves(output), jax.tree.leaves(output_after), strict=True):
        assert (old != new).all()


def test_feedback_and_local_plasticity_leaves_biases_alone():
    trainer = trainer_of(FLP(), weight_decay=0.1, bias=True, initialiser="he_normal")
    state = trainer.initial((0,), (0.1,))
    state = eqx.tree_at(lambda s: [own.bias for own in plastic_layers(s.model)], state,
                        replace_fn=lambda bias: bias + 1)  # fmt: skip
    after, _ = trainer.chunk(state, jnp.int32(0), length=4)
    for old, new in zip(*(plastic_layers(s.model) for s in (state, after)), strict=True):
        assert (old.bias == new.bias).all()
        assert (old.weight != new.weight).any()


def test_other_data_of_the_same_shape_compile_nothing(small):
    trainer = trainer_of()
    ran(trainer)
    other = small_dataset(x_train=small.x_train[::-1].copy())
    count = trainer._jit_chunk._cache_size()
    moved, _ = ran(trainer.on(other))
    assert trainer._jit_chunk._cache_size() == count
    assert_same(moved, ran(trainer_of(dataset=other))[0])


@pytest.mark.parametrize(
    "other", [small_dataset(22), small_dataset(test=6), small_dataset(classes=4)]
)
def test_other_shapes_want_another_trainer(other):
    with pytest.raises(ValueError, match=r"small differs in its shapes .* make a new Trainer"):
        trainer_of().on(other)


def test_loop_is_chosen_for_large_work_on_a_cpu():
    assert not trainer_of(hidden=(16,)).loop
    assert trainer_of(hidden=(2000, 2000)).loop
    assert not trainer_of(hidden=(2000, 2000), parallel="batch").loop


def test_work_counts_the_multiplications_of_a_batch():
    assert trainer_of(hidden=(4,)).work == 5 * (3 * 4 + 4 * 3)
    conv = trainer_of(
        dataset=image_dataset(side=11), model="pepita_conv", filters=(2,), hidden=None
    )
    layers = plastic_layers(eqx.filter_eval_shape(conv._build, jr.key(0)))
    height, width = layers[0].weight.shape[:2]
    positions = (11 - height + 1) * (11 - width + 1)
    dense = layers[-1].weight.shape[0] * 3
    assert conv.work == 5 * (positions * height * width * 2 + dense)


# What a step calls


class Recorder(AbstractRule):
    """Keeps what it was given; changes nothing, but counts `after_step`."""

    properties: ClassVar = Backprop.properties
    loss: str = eqx.field(static=True, default="cross_entropy")

    def init(self, model, *, key):
        del key
        zero = jnp.zeros(())
        return {"rate": zero, "calls": zero, "moved": zero, "labels": jnp.zeros((5, 3))}

    def updates(self, model, state, x, y, *, key, **signals):
        del key
        trace = model.trace(x)
        ones = jax.tree.map(jnp.ones_like, weights(model))
        state = state | {"rate": signals["learning_rate"], "labels": y}
        statistics = [layer.norm for layer in trace.layers]
        return ones, state, Aux(jnp.zeros(()), trace.output, statistics)

    def after_step(self, before, after, state):
        moved = plastic_layers(before)[0].weight - plastic_layers(after)[0].weight
        return after, state | {"calls": state["calls"] + 1.0, "moved": moved.max()}


def test_rule_hears_the_scheduled_rate_and_sees_the_step():
    options = {"schedule": "step", "milestones": (1.0,), "optimiser": "sgd"}
    trainer = trainer_of(Recorder(), **options)
    for steps, rate in ((4, 0.1), (8, 0.01)):
        state, _ = ran(trainer, steps=steps)
        assert float(state.rule["calls"][0]) == steps
        np.testing.assert_allclose(state.rule["rate"], [rate], rtol=1e-6)
        np.testing.assert_allclose(state.rule["moved"], [rate], rtol=1e-3)
        labels = np.asarray(state.rule["labels"][0])
        assert set(labels.flat) == {0.0, 1.0}
        np.testing.assert_array_equal(labels.sum(1), 1)


def test_running_statistics_move_in_training_and_stay_in_evaluation():
    trainer = trainer_of(Backprop(), norm="running")
    start = trainer.initial((0,), (0.1,))
    after, _ = trainer.chunk(start, jnp.int32(0), length=1)
    order = trainer.batches.order(jnp.int32(0), key=jr.fold_in(start.key[0], 0))[0]
    drive = np.asarray(trainer.batches.train.x[order] @ plastic_layers(start.model)[0].weight[0])
    running = plastic_layers(after.model)[0].norm.running
    np.testing.assert_allclose(running.mean[0], 0.1 * drive.mean(0), rtol=1e-3, atol=1e-5)
    expected = 0.9 + 0.1 * drive.var(0, ddof=1)
    np.testing.assert_allclose(running.variance[0], expected, rtol=1e-3)
    test = trainer.batches.test
    assert_same(trainer.scores(after, test), trainer.scores(after, test))


# Evaluation


@pytest.mark.parametrize("count", [1, 7, 500, 501, 1203])
def test_scores_of_any_number_of_examples(count):
    trainer, dataset = trainer_of(), small_dataset(test=count)
    state, _ = ran(trainer, seeds=(0, 1), rates=(0.1, 0.1))
    split = Split(jnp.asarray(dataset.x_test), jnp.asarray(dataset.y_test, jnp.int32))
    accuracy, loss = trainer.scores(state, split)
    for index in range(2):
        w1, w2 = (np.asarray(w[index], np.float64) for w in jax.tree.leaves(state.model))
        output = np.maximum(dataset.x_test @ w1, 0) @ w2
        output -= output.max(1, keepdims=True)
        log = output - np.log(np.exp(output).sum(1, keepdims=True))
        expected = -log[np.arange(count), dataset.y_test].mean()
        np.testing.assert_allclose(loss[index], expected, rtol=1e-3, atol=1e-5)
        correct = (output.argmax(1) == dataset.y_test).mean()
        np.testing.assert_allclose(accuracy[index], correct, atol=1.5 / count * (count > 500))


def test_finite_names_every_array_that_is_not():
    trainer = trainer_of(Backprop(), norm="running")
    start = trainer.initial((0,), (0.1,))
    path = jax.tree_util.keystr(jax.tree.leaves_with_path(start.model)[0][0])
    _, metrics = trainer.chunk(start, jnp.int32(0), length=1)
    assert len(metrics.finite) == len(jax.tree.leaves(start.model))
    assert path in metrics.finite
    assert all(np.asarray(ok).all() for ok in metrics.finite.values())
