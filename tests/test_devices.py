"""What several devices compute together is what one computes alone."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Line, delta

from metaplastic._devices import check_share, even_share, provide, using
from metaplastic._errors import UsageError
from metaplastic.cli.__main__ import main
from metaplastic.data import load
from metaplastic.meta.cma_es import CMAES
from metaplastic.meta.evolution import Evolution
from metaplastic.meta.unrolled import Unrolled
from metaplastic.rules.pepita import Pepita
from metaplastic.train import Trainer, TrainOptions
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer

OPTIONS = MetaOptions(steps=4, meta_batch=4, parallel="batch")


def trainer(estimator=None, **options):
    return MetaTrainer(
        delta, Line(), estimator or Unrolled(), dataclasses.replace(OPTIONS, **options)
    )


def results(own, seeds):
    state, metrics = own.chunk(own.initial(seeds), 1, length=3)
    return jax.tree.map(np.asarray, (jax.tree.leaves(state.learner), metrics))


def close(one, two):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), one, two)


@pytest.mark.parametrize(
    ("estimator", "seeds"),
    [
        (Unrolled(), [0]),  # lifetimes are divided
        (Evolution(population=4), [0]),
        (CMAES(population=4), [0]),  # members are
        (Unrolled(), [0, 1, 2]),  # with an even number of lifetimes, lifetimes
    ],
    ids=["lifetimes", "perturbed", "members", "lifetimes_of_three"],
)
def test_two_devices_give_the_numbers_of_one(estimator, seeds, x64):
    if isinstance(estimator, CMAES):
        pytest.importorskip("evosax")
    close(*[results(trainer(estimator, devices=own), seeds) for own in (1, 2)])


@pytest.mark.parametrize("seeds", [[0, 1], [0, 1, 2]], ids=["even", "odd"])
def test_replicas_are_divided(seeds, x64):
    close(*[results(trainer(meta_batch=1, devices=own), seeds) for own in (1, 2)])


def test_both_devices_work_and_results_lie_on_the_first():
    own = trainer(devices=2)
    state = own.spread.put(own.initial([0, 1]))
    compiled = own._jit_chunk.lower(own._ready, state, jnp.int32(0), 1).compile()
    text = compiled.compiled.as_text()
    assert "num_partitions=2" in text and "all-reduce" not in text  # replicas need no exchange
    after, _ = own.chunk(own.initial([0, 1]), 0, length=1)
    assert after.skipped.devices() == {jax.devices()[0]}


def test_lifetimes_of_the_test_are_shared_out():
    tests = [own.test(own.initial([0]), 6) for own in (trainer(devices=own) for own in (1, 2))]
    assert tests[1].loss.shape == (1, 6)
    np.testing.assert_allclose(tests[0].loss, tests[1].loss, rtol=1e-5)


def test_training_divides_seeds():
    options = TrainOptions(hidden=(4,), parallel="batch", epochs=1)
    found = []
    for devices in (1, 2):
        own = Trainer(Pepita(), load("digits"), dataclasses.replace(options, devices=devices))
        state, _ = own.chunk(own.initial([0, 1, 2], [0.05] * 3), jnp.int32(0), length=3)
        found.append((jax.tree.leaves(state.model), own.scores(state, own.batches.test)))
    for one, two in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_runs_within_use_the_devices_of_the_command():
    with using(2):
        assert trainer().spread.devices == 2
        assert trainer(devices=1).spread.devices == 1
    assert trainer().spread.devices == 1


def test_more_devices_than_there_are():
    with pytest.raises(UsageError, match=r"--devices 64: JAX has 2 here"):
        provide(64)


def test_devices_of_which_some_would_do_nothing():
    for fits in ((None, 1), (1, 1), (2, 2), (2, 3)):
        check_share(*fits)
    sentence = r"--devices 3 have 2 runs to share: --devices 2, or give more --seeds"
    with pytest.raises(UsageError, match=sentence):
        check_share(3, 2)


def test_devices_without_anything_to_share(capsys, tmp_path):
    one = ["meta", "online", "--task", "sinusoid", "--steps", "2", "--devices", "2"]
    assert main([*one, "--meta-batch", "3", "--out", str(tmp_path / "a")]) == 2
    assert "--devices 2 do not divide the 3 lifetimes" in capsys.readouterr().err
    assert main(["train", "backprop", "--devices", "2", "--out", str(tmp_path / "b")]) == 2
    assert "--devices 2 have one run to share" in capsys.readouterr().err
    alone = ["--devices", "2", "--out", str(tmp_path / "c")]
    assert main(["compare", "backprop", "--rates", "0.1", *alone]) == 2
    assert "--devices 2 have one run to share" in capsys.readouterr().err
    assert main(["compare", "online", "--task", "sinusoid", "--meta-batch", "3", *alone]) == 2
    assert "--devices 2 do not divide the 3 lifetimes" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_a_run_is_resumed_on_as_many_devices(capsys, tmp_path):
    """The number is on record, and a resumed run ends as an uninterrupted one does."""
    given = ["meta", "online", "--task", "sinusoid", "--steps", "4", "--record-every", "1"]
    given += ["--learner.hidden", "3", "--task.moments", "2", "--test-lifetimes", "4", "--json"]
    given += ["--devices", "2", "--checkpoint-every", "2", "--out", str(tmp_path / "run")]
    assert main(given) == 0
    first = json.loads(capsys.readouterr().out)
    (tmp_path / "run" / "result.json").unlink()
    assert main(["resume", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"] == first["test"]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"]["devices"] == 2


def test_lifetimes_are_shared_out_evenly():
    assert [even_share(40, 12), even_share(200, 12), even_share(3, 16)] == [10, 10, 3]
    assert even_share(13, 10) == 10  # no even share, but a rest
