"""The plastic output on fixed features: Oja's trace of labels, and what it needs."""

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import pytest
from helpers import to_float64

from metaplastic._errors import UsageError
from metaplastic.data._classes import ImageClasses
from metaplastic.learners.hebbian_readout import hebbian_readout
from metaplastic.learners.lifetime import lifetime, live
from metaplastic.meta.unrolled import Unrolled
from metaplastic.tasks.binary_patterns import BinaryPatterns
from metaplastic.tasks.few_shot import FewShot
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer


def classes(count, *, seed, noise=40):
    """`count` classes of 6 grey images of 7x7: each a random image, with noise."""
    rng = np.random.default_rng(seed)
    own = rng.integers(0, 2, (count, 1, 7, 7, 1)) * 200
    images = np.clip(own + rng.normal(0, noise, (count, 6, 7, 7, 1)), 0, 255).astype(np.uint8)
    return ImageClasses("made up", images.reshape(-1, 7, 7, 1), np.full(count, 6), 255.0)


def few_shot(**options):
    options = {"ways": 3, "shots": 1, "queries": 2, **options}
    return FewShot(**options).with_classes(classes(40, seed=1), classes(20, seed=2))


TINY = {"filters": (4, 5), "scale": 0.5, "eta": 0.3}


@pytest.mark.parametrize("trace", ["oja", "exponential"])
def test_a_lifetime_is_the_equations(trace, x64, getkey):
    with jax.enable_x64(False):
        task = few_shot(shots=2)
        learner = hebbian_readout(task, **TINY, trace=trace, key=getkey())
        episode = task.sample(getkey())
    learner, episode = to_float64((learner, episode))
    lived = eqx.filter_jit(lifetime)(learner, episode, key=getkey())
    front = eqx.filter_jit(learner.front)
    features, asked = np.array(front(episode.stream.x[:, 0])), np.array(front(episode.query.x))
    w, alpha = np.array(learner.weight), np.array(learner.plasticity.alpha)
    eta = float(learner.plasticity.eta)
    h = np.zeros_like(w)
    for a, y, output in zip(features, episode.stream.y, lived.outputs, strict=True):
        z = a @ (w + alpha * h)
        np.testing.assert_allclose(output[0], z, rtol=1e-10)
        p = np.array(y[0])  # so loud a label leaves nothing of z
        forgotten = h * p**2 if trace == "oja" else h
        h = h + eta * (np.outer(a, p) - forgotten)
    np.testing.assert_allclose(lived.answers, asked @ (w + alpha * h), rtol=1e-10)
    assert abs(asked @ (alpha * h)).max() > 1e-2


def test_without_a_label_the_answer_itself_is_stored(getkey):
    learner = hebbian_readout(few_shot(), **TINY, trace="clipped", key=getkey())
    a = jr.normal(getkey(), (1, 5))
    after, answer = learner.step(learner.birth(key=getkey()), a, None, key=getkey())
    np.testing.assert_allclose(after.trace, 0.3 * a.T @ jax.nn.softmax(answer), rtol=1e-5)


def test_the_network_of_the_paper(getkey):
    task = FewShot(ways=5, shots=1, resize=31)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 31, 31, 1), np.uint8)
    own = ImageClasses("made up", images, np.full(5, 6), 255.0)
    learner = eqx.filter_jit(hebbian_readout)(task.with_classes(own, own), key=getkey())
    assert learner.weight.shape == learner.plasticity.alpha.shape == (64, 5)
    alpha = np.array(learner.plasticity.alpha)
    assert alpha.min() >= 0 and 0.004 < alpha.mean() < 0.006 and alpha.max() < 0.01
    assert abs(float(learner.weight.std()) - 0.01) < 0.002
    assert learner.plasticity.kind == "oja"


def test_without_plasticity_nothing_is_learned(getkey):
    task = few_shot()
    learner = hebbian_readout(task, **TINY, plastic=False, key=getkey())
    assert not jax.tree.leaves(learner.birth(key=getkey()))
    episode = task.sample(getkey())
    lived = eqx.filter_jit(lifetime)(learner, episode, key=getkey())
    expected = learner.front(episode.query.x) @ learner.weight
    np.testing.assert_allclose(lived.answers, expected, rtol=1e-5)


def test_all_it_starts_with_has_a_derivative(getkey):
    task = few_shot()
    learner = hebbian_readout(task, **TINY, key=getkey())
    gradient = eqx.filter_grad(lambda own: live(own, task.sample(jr.key(0)), key=jr.key(1)).loss)
    for path, leaf in jax.tree.leaves_with_path(eqx.filter_jit(gradient)(learner)):
        assert abs(leaf).max() > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"filters": (4, 4, 4)}, "do not fit images of 7x7"),
        ({"filters": ()}, "at least one positive"),
        ({"padding": 2}, "0 or 1"),
        ({"scale": -1.0}, "must not be negative"),
    ],
)
def test_impossible_networks_are_one_sentence(options, words, getkey):
    with pytest.raises(UsageError, match=words):
        hebbian_readout(few_shot(), **options, key=getkey())


def test_a_task_that_tells_nothing_is_one_sentence(getkey):
    with pytest.raises(UsageError, match="this task tells none"):
        hebbian_readout(BinaryPatterns(), key=getkey())


@pytest.mark.slow
def test_it_learns_to_name_new_classes(getkey):
    task = few_shot()
    options = MetaOptions(steps=40, meta_batch=8, lr=1e-2, test_lifetimes=100)

    def build(key):
        return hebbian_readout(task, filters=(8,), key=key)

    trainer = MetaTrainer(build, task, Unrolled(), options)
    before = trainer.initial([0])
    after, _ = trainer.chunk(before, 0, length=options.steps)
    # A network without plasticity stays at a third: the labels are new in every lifetime.
    accuracy = [float(trainer.test(state).metric.mean()) for state in (before, after)]
    assert accuracy[0] < 0.6 and accuracy[1] > 0.8, accuracy


@pytest.mark.slow
@pytest.mark.data
def test_five_new_characters_from_one_drawing_each():
    """1,000 meta-steps of 32 lifetimes, half as many filters as in the paper."""
    options = {"ways": 5, "shots": 1, "queries": 1, "test_classes": 100, "rotations": "lifetime"}
    task = FewShot(data="omniglot", resize=31, invert=True, **options).load()

    def build(key):
        return hebbian_readout(task, filters=(32, 32, 32, 32), key=key)

    options = MetaOptions(steps=1000, meta_batch=32, lr=1e-3, test_lifetimes=500)
    trainer = MetaTrainer(build, task, Unrolled(), options)
    before = trainer.initial([0])
    after, _ = trainer.chunk(before, 0, length=options.steps)
    assert float(trainer.test(before).metric.mean()) < 0.25
    assert float(trainer.test(after).metric.mean()) > 0.75
