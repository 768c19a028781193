"""The loop of a meta-training run: records, resumption, and what is said when it diverges."""

import numpy as np
import pytest
from toys import Line, delta

from metaplastic._errors import DivergedError
from metaplastic.meta.unrolled import Unrolled
from metaplastic.report.records import RunFolder
from metaplastic.train.meta_fit import meta_fit
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer


def trainer(task=None, **options) -> MetaTrainer:
    options = {"steps": 12, "record_every": 5, "test_lifetimes": 8, **options}
    return MetaTrainer(delta, task or Line(), Unrolled(), MetaOptions(**options))


def without_seconds(records):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


class Interrupts:
    """A reporter that interrupts after some chunks."""

    def __init__(self, after: int):
        self.after = after

    def begin(self, total, **options): ...
    def compiling(self, what=""): ...
    def note(self, text): ...

    def update(self, done, metrics=None):
        self.after -= 1
        if self.after == 0:
            raise KeyboardInterrupt


def test_records_and_tests():
    outcome = meta_fit(trainer(test_every=6), [0, 1])
    assert [record["step"] for record in outcome.records] == [0, 5, 6, 10, 12]
    tested = [record["step"] for record in outcome.records if "test_metric" in record]
    assert tested == [0, 6, 12]
    assert outcome.test.shape == (2, 8)
    last = outcome.records[-1]
    np.testing.assert_allclose(last["test_metric"], outcome.test.mean(1))
    assert np.shape(last["meta_loss"]) == (2,)


@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_interrupted_and_resumed_is_the_same_run(tmp_path, after):
    own = trainer(checkpoint_every=5)
    whole = meta_fit(own, [0, 1], folder=RunFolder(tmp_path / "whole", None))
    folder = RunFolder(tmp_path / "broken", None)
    with pytest.raises(KeyboardInterrupt):
        meta_fit(own, [0, 1], folder=folder, reporter=Interrupts(after))
    resumed = meta_fit(own, [0, 1], folder=folder)
    assert without_seconds(resumed.records) == without_seconds(whole.records)
    np.testing.assert_array_equal(resumed.test, whole.test)
    np.testing.assert_array_equal(resumed.state.learner.start, whole.state.learner.start)
    assert without_seconds(folder.read_metrics()) == without_seconds(whole.records)


def test_a_run_that_is_done_only_reports():
    own = trainer()
    first = meta_fit(own, [0])
    assert meta_fit(own, [0]).records[-1]["test_metric"] == first.records[-1]["test_metric"]


def test_divergence_names_lifetime_moment_and_array():
    with pytest.raises(DivergedError) as error:
        meta_fit(trainer(Line(poison=1)), [4], name="delta on line")
    text = str(error.value)
    assert text.startswith(
        "delta on line diverged at meta-step 0 (seed 4): the task's examples are"
    )
    assert "not finite in lifetime 0, moment 1" in text
    assert "--non-finite skip" in text


def test_divergence_in_the_fast_state_and_in_the_gradient():
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from toys import Delta

    from metaplastic.train.meta_diagnosis import diagnose

    class Bursts(Delta):
        """Its weight overflows at the second moment; its answers are bounded."""

        def step(self, life, x, y, *, key):
            del x, y, key
            return life * jnp.float32(1e30), jnp.zeros((2, 1))

        def predict(self, life, x):
            return jnp.tanh(x)

    class Kinks(Delta):
        """All it does is finite; its derivative is not."""

        def predict(self, life, x):
            return x * jnp.sqrt(self.start - jax.lax.stop_gradient(self.start))

    for kind, expected in {
        Bursts: "is not finite in lifetime 0, moment 1",
        Kinks: "the meta-gradient of start is not finite in lifetime 0",
    }.items():
        own = MetaTrainer(
            lambda key, kind=kind: kind(jnp.ones(1), jnp.ones(1)),
            Line(),
            Unrolled(),
            MetaOptions(),
        )
        replica = jax.tree.map(lambda leaf: leaf[0], own.initial([0]))
        assert expected in str(diagnose(own, replica, 0))
        assert eqx.is_array(own.learner(replica).start)


def test_a_loss_that_runs_away_names_the_array_that_grew_most():
    import jax
    import jax.numpy as jnp
    from toys import Delta

    from metaplastic.train.meta_diagnosis import diagnose

    class Grows(Delta):
        """Its weight is finite throughout, and its squared error is not."""

        def step(self, life, x, y, *, key):
            del x, y, key
            return jnp.full_like(life, 3e25), jnp.zeros((2, 1))

    own = MetaTrainer(
        lambda key: Grows(jnp.ones(1), jnp.ones(1)), Line(), Unrolled(), MetaOptions()
    )
    replica = jax.tree.map(lambda leaf: leaf[0], own.initial([0]))
    found = diagnose(own, replica, 0)
    assert str(found).startswith("the loss is not finite in lifetime 0 (largest: ")
    assert str(found).endswith("of the fast state, 3e+25)")
    assert found.remedy == "other values of --learner.…, with which a lifetime stays finite"
    assert diagnose(own, replica, 1).remedy == "a smaller --lr, --clip 1"
