"""Batches of a data set: what is shown, what is asked for, and what cannot be asked for."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.unrolls import accuracy_over_moments
from metaplastic.data import Dataset
from metaplastic.learners.online import online
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.labelled_batches import LabelledBatches


def made_up(train, test, *, start=0, side=2):
    """Images that say which they are: class, number (test images from 100 on), 7, 9."""

    def part(counts, first):
        rows = [[start + c, first + i, 7, 9] for c, n in enumerate(counts) for i in range(n)]
        y = np.repeat(np.arange(len(counts)), counts)
        order = np.random.default_rng(0).permutation(len(y))
        x = np.array(rows, np.float32).reshape(-1, 2, 2)
        x = np.pad(x, ((0, 0), (0, side - 2), (0, side - 2)))
        return x[order], y[order]

    return Dataset("made up", *part(train, 0), *part(test, 100), len(train), 1.0, "here", "none")


TEN = made_up([7, 8, 9, 10, 11, 5, 6, 12, 13, 14], [3] * 10)


def make(own=TEN, other=None, **options):
    defaults = {"batch": 6, "moments": 4, "queries": 9}
    return LabelledBatches(**{**defaults, **options}).with_data(own, other)


@eqx.filter_jit
def sampled(task, keys):
    return jax.vmap(task.sample)(keys)


def lifetimes(task, count=60, seed=0):
    return sampled(task, jr.split(jr.key(seed), count))


def drawn(x):
    """`(class, number)` of every image."""
    return np.asarray(x[..., 0, 0, 0], int), np.asarray(x[..., 0, 1, 0], int)


def test_shapes_and_types():
    task = make()
    episode = jax.tree.map(lambda leaf: leaf[0], lifetimes(task, 1))
    assert episode.stream.x.shape == (4, 6, 2, 2, 1) and episode.stream.y.shape == (4, 6, 10)
    assert episode.query.x.shape == (9, 2, 2, 1) and episode.query.y.shape == (9, 10)
    assert episode.stream.target is None and episode.stream.x.dtype == jnp.float32
    assert task.input_shape == (2, 2, 1) and task.outputs == 10


def test_what_is_asked_is_never_shown_and_every_image_has_its_turn():
    episodes = lifetimes(make(queries=40), 400)
    shown, asked = drawn(episodes.stream.x), drawn(episodes.query.x)
    for own in range(100):
        support = set(zip(shown[0][own].ravel(), shown[1][own].ravel(), strict=True))
        assert not support & set(zip(asked[0][own], asked[1][own], strict=True))
    for of_class, number in (shown, asked):
        shares = np.bincount(of_class.ravel(), minlength=10) / of_class.size
        np.testing.assert_allclose(shares, 0.1, atol=0.02)
        for c, count in ((0, 7), (5, 5), (9, 14)):
            assert set(number[of_class == c].ravel()) == set(range(count))
    # A fifth of nine images are two of them, or one; others in other lifetimes.
    of_each = [set(numbers[own == 2]) for own, numbers in zip(*asked, strict=True)]
    assert max(map(len, of_each)) == 2 and len(set(map(frozenset, of_each))) > 5


def test_meta_testing_asks_for_test_images():
    episodes = lifetimes(make().held_out())
    assert (drawn(episodes.stream.x)[1] < 100).all() and (drawn(episodes.query.x)[1] >= 100).all()
    assert set(np.unique(drawn(episodes.query.x)[1])) == {100, 101, 102}


def test_targets_are_the_class_or_a_new_output_in_every_lifetime():
    own = lifetimes(make())
    np.testing.assert_array_equal(own.query.y.argmax(-1), drawn(own.query.x)[0])
    np.testing.assert_array_equal(own.stream.y.argmax(-1), drawn(own.stream.x)[0])
    episodes = lifetimes(make(labels="permuted"), 600)
    label, of_class = np.asarray(episodes.query.y.argmax(-1)), drawn(episodes.query.x)[0]
    shown, shown_class = np.asarray(episodes.stream.y.argmax(-1)), drawn(episodes.stream.x)[0]
    for one in range(20):
        names = dict(zip(shown_class[one].ravel(), shown[one].ravel(), strict=True))
        assert len(set(names.values())) == len(names)
        both = zip(of_class[one], label[one], strict=True)
        assert all(names.get(c, own) == own for c, own in both)
    np.testing.assert_allclose(np.bincount(label[of_class == 3]) / (of_class == 3).sum(), 0.1,
                               atol=0.05)  # fmt: skip


def test_a_lifetime_has_one_group_of_classes():
    task = make(classes=("all", "0-4", "5,7-9"), held_classes=("5-9",), queries=60)
    found = [set(own) for own in drawn(lifetimes(task).query.x)[0]]
    kinds = [own <= {0, 1, 2, 3, 4} for own in found], [own <= {5, 7, 8, 9} for own in found]
    part = [sum(kind) for kind in kinds]
    assert all(10 < n < 30 for n in part) and max(map(len, found)) > 8 and task.outputs == 10
    assert set(np.unique(drawn(lifetimes(task.held_out()).stream.x)[0])) == {5, 6, 7, 8, 9}
    assert make(classes=("0-4", "5-9"), labels="permuted").outputs == 5


def test_some_classes_of_a_group():
    task = make(ways=3, labels="permuted", classes=("0-7",), held_classes=("8,9,1",))
    assert task.outputs == 3
    found = [frozenset(own) for own in drawn(lifetimes(task, 200).stream.x)[0].reshape(200, -1)]
    assert max(map(len, found)) == 3 and len(set(found)) > 40
    assert set.union(*map(set, found)) == set(range(8))
    assert set(np.unique(drawn(lifetimes(task.held_out()).query.x)[0])) == {1, 8, 9}


def test_other_data_for_meta_testing():
    other = made_up([6, 6, 6], [2, 2, 2], start=50)
    task = make(other=other).held_out()
    assert set(np.unique(drawn(lifetimes(task).stream.x)[0])) == {50, 51, 52}
    assert task.outputs == 10 and task.record()["test_data"]["classes"] == 3
    assert task.record()["sha256"] not in (TEN.sha256, other.sha256)
    assert make().record()["sha256"] == TEN.sha256


def test_permuted_inputs():
    episodes = lifetimes(make(permute=True), 200)
    x = np.concatenate(
        [np.asarray(own).reshape(200, -1, 4) for own in (episodes.stream.x, episodes.query.x)], 1
    )
    places = (x == 9).all(1)  # classes and numbers may be 9, but not always
    assert (places.sum(1) >= 1).all()
    np.testing.assert_allclose(places.mean(0), 1 / 4, atol=0.1)
    np.testing.assert_array_equal(np.sort(x, -1)[..., -1] >= 9, True)


def test_types_agree_in_double_precision(x64):
    task = make(ways=4, permute=True, labels="permuted")
    assert jax.eval_shape(task.sample, jr.key(3)).stream.x.shape == (4, 6, 2, 2, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "--task.batch 0: at least 1"),
        ({"classes": ("0-10",)}, "--task.classes 0-10: made up has the classes 0-9"),
        ({"classes": ("digits",)}, "--task.classes digits: write classes by number"),
        ({"held_classes": ("4-2",)}, "--task.held-classes 4-2: write classes by number"),
        ({"classes": ()}, "--task.classes names no group"),
        ({"ways": 6, "classes": ("all", "0-4")}, "--task.ways 6: a group of --task.classes has 5"),
        ({"other": made_up([6] * 12, [2] * 12)}, "has 12 classes for 10 outputs"),
        ({"other": made_up([6] * 2, [2] * 2, side=3)}, "shape \\(3, 3, 1\\).*pass --task.resize"),
        ({"own": made_up([6, 4], [2, 2])}, "class 1 of made up has 4 training images.*need 5"),
        ({"own": made_up([6, 6], [2, 0])}, "class 1 of made up has 0 test images"),
    ],
)
def test_impossible_requests(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        make(**options)
    assert "\n" not in str(caught.value)


def test_images_are_read_before_lifetimes_are_drawn():
    for act in (lambda: LabelledBatches().sample(jr.key(0)), lambda: LabelledBatches().outputs):
        with pytest.raises(UsageError, match=r"call load\(\) first"):
            act()


def test_a_network_learns_digits_in_one_lifetime():
    task = LabelledBatches(batch=32, moments=20, resize=6, standardise=True).load()
    rule = Backprop(loss="cross_entropy")
    learner = online(task, rule=rule, hidden=(32,), rate=0.3, key=jr.key(0))
    run = jax.jit(lambda keys: accuracy_over_moments(learner, task.held_out(), keys=keys))
    accuracy = run(jr.split(jr.key(1), 3)).mean(0)
    assert accuracy.shape == (21,) and accuracy[0] < 0.25 and accuracy[-1] > 0.7


@pytest.mark.slow
@pytest.mark.data
def test_mnist_and_ten_characters_of_omniglot(optimised):
    """One network, its rate by hand: what a lifetime of a hundred batches comes to."""
    mnist = LabelledBatches(data="mnist", batch=128, moments=100, resize=14).load()
    drawings = LabelledBatches(
        data="omniglot",
        classes=("0-963",),
        held_classes=("964-1622",),
        ways=10,
        labels="permuted",
        batch=128,
        moments=100,
        resize=14,
        invert=True,
    ).load()
    for task, bar, chance in ((mnist, 0.8, 0.1), (drawings, 0.6, 0.1)):
        rule = Backprop(loss="cross_entropy")
        learner = online(task, rule=rule, hidden=(64,), rate=0.3, key=jr.key(0))
        run = jax.jit(lambda own, held, keys: accuracy_over_moments(own, held, keys=keys))
        accuracy = run(learner, task.held_out(), jr.split(jr.key(1), 8)).mean(0)
        assert accuracy[-1] > bar and abs(accuracy[0] - chance) < 0.07
