"""What is measured between chunks, against the measures called one by one."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from small_data import small_dataset

from metaplastic.analysis.alignment import update_angles
from metaplastic.analysis.delta_angles import example_delta_angles, taught
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.rules.flp import FLP
from metaplastic.rules.shallow import Shallow
from metaplastic.train import Trainer, TrainOptions, fit


def trainer_of(rule, **options) -> Trainer:
    own = {"hidden": (4, 4), "batch_size": 5, "epochs": 1, "dropout": 0.2, "lr": 0.1, **options}
    return Trainer(rule, small_dataset(), TrainOptions(**own))


def test_alignment_is_the_mean_of_four_batches(optimised):
    trainer = trainer_of(FeedbackAlignment())
    state = trainer.initial((3, 5), (0.1, 0.1))
    found = trainer.alignment(state, jnp.int32(7))
    replica = jax.tree.map(lambda leaf: leaf[1], state)
    model, batches = trainer.model(replica), trainer.batches

    def of_batch(index: int) -> tuple[jax.Array, list]:
        key = jr.fold_in(jr.fold_in(jr.fold_in(replica.key, 2), 7), index)
        order = jr.choice(key, len(batches.train), (5,))
        x, y = batches.batch(order, key=key)
        right = taught(Backprop(), model, (), x, y, key=key)
        own = taught(FeedbackAlignment(), model, replica.rule, x, y, key=key)
        of_weights = update_angles(
            FeedbackAlignment(), Backprop(), model, replica.rule, x, y, key=key
        )
        return of_weights, example_delta_angles(own, right)

    by_batch = [of_batch(index) for index in range(4)]
    of_weights = np.mean([own for own, _ in by_batch], 0)
    of_deltas = np.nanmean([own for _, own in by_batch], (0, 2))  # examples count alike
    for kind, expected in {"update_angle": of_weights, "delta_angle": of_deltas}.items():
        assert list(found[kind]) == ["layer 1", "layer 2", "layer 3"]
        own = np.asarray([angle[1] for angle in found[kind].values()])
        np.testing.assert_allclose(own, expected, rtol=1e-3, atol=0.1)
        assert (abs(own[:2] - 90) > 0.5).all()


def test_layers_come_in_their_order():
    trainer = trainer_of(Shallow(), hidden=(3,) * 10)
    state = jax.eval_shape(trainer.start, jr.split(jr.key(0), 1), jnp.ones(1))
    trainer._jit_alignment = functools.partial(jax.eval_shape, trainer._jit_alignment)
    found = trainer.alignment(state, jnp.int32(0))
    assert list(found["update_angle"]) == [f"layer {index}" for index in range(1, 12)]
    assert list(found["delta_angle"]) == ["layer 11"]


def test_rule_without_deltas_has_angles_of_weights_alone():
    outcome = fit(trainer_of(FLP(), dropout=0.0), (0,), (0.1,))
    assert {"update_angle"} == {kind for kind in outcome.records[-1] if kind.endswith("_angle")}
