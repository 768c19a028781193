"""New classes from a few examples: what a lifetime holds, and what cannot be asked for."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import DataError, UsageError
from metaplastic.data import ImageClasses, load
from metaplastic.learners.online import online
from metaplastic.meta.unrolled import Unrolled
from metaplastic.rules.flp import FLP
from metaplastic.tasks.few_shot import FewShot
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer


def classes(counts, *, start=0, scale=1.0):
    """Images of 2x2 that say which they are: class, number, 0, 50."""
    rows = [[start + c, i, 0, 50] for c, count in enumerate(counts) for i in range(count)]
    images = np.array(rows, np.float32).reshape(-1, 2, 2, 1)
    return ImageClasses("made up", images, np.array(counts), scale)


def make(train=(5, 6, 7, 8), test=(6, 6, 6), **options):
    return FewShot(**{"ways": 3, "shots": 2, "queries": 3, **options}).with_classes(
        classes(train), classes(test, start=100)
    )


def drawn(x):
    """`(class, number)` of every image."""
    return np.asarray(x[..., 0, 0, 0], int), np.asarray(x[..., 0, 1, 0], int)


def lifetimes(task, count=40, seed=0):
    return sampled(task, jr.split(jr.key(seed), count))


@eqx.filter_jit
def sampled(task, keys):
    return jax.vmap(task.sample)(keys)


def lifetime(task, seed=0):
    return jax.tree.map(lambda leaf: leaf[0], lifetimes(task, 1, seed))


def test_shapes_and_types():
    task = make(width=7)
    episode = lifetime(task)
    assert episode.stream.x.shape == (6, 1, 2, 2, 1) and episode.stream.y.shape == (6, 1, 7)
    assert episode.query.x.shape == (9, 2, 2, 1) and episode.query.y.shape == (9, 7)
    assert episode.stream.target is None and episode.stream.weight is None
    assert episode.stream.x.dtype == episode.query.y.dtype == jnp.float32
    assert task.input_shape == (2, 2, 1) and task.outputs == 7


@pytest.mark.parametrize("order", ["iid", "continual"])
def test_support_and_query_are_disjoint_and_as_many_as_asked_for(order):
    episodes = lifetimes(make(order=order))
    shown, asked = drawn(episodes.stream.x[:, :, 0]), drawn(episodes.query.x)
    for s_class, s_number, q_class, q_number in zip(*shown, *asked, strict=True):
        support = set(zip(s_class, s_number, strict=True))
        query = set(zip(q_class, q_number, strict=True))
        assert len(support) == 6 and len(query) == 9 and not support & query
        found, counts = np.unique(s_class, return_counts=True)
        assert len(found) == 3 and (counts == 2).all()
        assert sorted(set(q_class)) == found.tolist()


def test_overlap_draws_queries_without_regard_to_the_support():
    episodes = lifetimes(make(train=(5, 5, 5, 5), test=(5, 5, 5), overlap=True), 400)
    s_class, s_number = drawn(episodes.stream.x[:, :, 0])
    q_class, q_number = drawn(episodes.query.x)
    support, query = s_class * 100 + s_number, q_class * 100 + q_number
    seen = (query[:, :, None] == support[:, None, :]).any(-1)
    assert all(len(set(own)) == 9 for own in query.tolist())
    assert abs(seen.mean() - 2 / 5) < 0.03


def test_every_class_and_image_is_drawn_equally_often():
    episodes = lifetimes(make(ways=2), 2000)
    of_class, number = drawn(episodes.query.x)
    for c, count in enumerate((5, 6, 7, 8)):
        share = (of_class == c).mean()
        assert abs(share - 1 / 4) < 0.03
        found = np.bincount(number[of_class == c], minlength=8)
        assert (found[count:] == 0).all()
        np.testing.assert_allclose(found[:count] / found.sum(), 1 / count, atol=0.03)


def test_labels_are_a_new_permutation_in_every_lifetime():
    episodes = lifetimes(make(), 600)
    of_class, label = drawn(episodes.stream.x[:, :, 0])[0], episodes.stream.y[:, :, 0].argmax(-1)
    asked, answer = drawn(episodes.query.x)[0], episodes.query.y.argmax(-1)
    for own in range(20):
        names = dict(zip(of_class[own].tolist(), label[own].tolist(), strict=True))
        assert sorted(names.values()) == [0, 1, 2]
        assert [names[c] for c in asked[own].tolist()] == answer[own].tolist()
    for c in range(4):
        found = np.bincount(np.asarray(label)[of_class == c], minlength=3)
        np.testing.assert_allclose(found / found.sum(), 1 / 3, atol=0.05)


def test_labels_may_be_any_output_or_follow_the_order():
    any_label = lifetimes(make(width=6, labels="any")).query.y.argmax(-1)
    assert set(np.unique(any_label)) == set(range(6))
    assert all(len(set(own)) == 3 for own in any_label.tolist())
    ordered = lifetimes(make(labels="ordered", order="continual")).stream.y.argmax(-1)
    assert (ordered[:, :, 0] == jnp.repeat(jnp.arange(3), 2)).all()


def test_continual_order_is_class_by_class_and_iid_is_not():
    for order, changes in (("continual", 2), ("iid", None)):
        of_class = drawn(lifetimes(make(order=order), 60).stream.x[:, :, 0])[0]
        found = (of_class[:, 1:] != of_class[:, :-1]).sum(1)
        assert (found == changes).all() if changes else found.mean() > 3


def test_all_at_once_so_many_times():
    episode = lifetime(make(moments=4))
    assert episode.stream.x.shape == (4, 6, 2, 2, 1) and episode.stream.y.shape == (4, 6, 3)
    assert (episode.stream.x == episode.stream.x[0]).all()
    alone = lifetime(make())
    np.testing.assert_array_equal(episode.stream.x[0], alone.stream.x[:, 0])
    np.testing.assert_array_equal(episode.stream.y[0], alone.stream.y[:, 0])


def test_meta_testing_has_other_classes_only():
    task = make()
    assert (drawn(lifetimes(task).query.x)[0] < 4).all()
    other = task.held_out()
    found = drawn(lifetimes(other).query.x)[0]
    assert set(np.unique(found)) == {100, 101, 102}
    assert other.held_out().load() == other.load()


def test_quarter_turns_as_classes():
    task = make(ways=16, rotations="classes", test=(6,) * 4)
    x = np.asarray(lifetime(task).query.x[:, :, :, 0])
    looks = set()
    for image in x:
        turn = next(k for k in range(4) if np.rot90(image, -k)[1, 1] == 50)
        looks.add((np.rot90(image, -turn)[0, 0], turn))
    assert len(looks) == 16


def test_random_turn_of_each_class_in_a_lifetime():
    episodes = lifetimes(make(rotations="lifetime"), 300)
    place = np.asarray(episodes.query.x[..., 0] == 50).reshape(300, 3, 3, 4).argmax(-1)
    assert (place == place[:, :, :1]).all()  # one turn for all images of a class
    np.testing.assert_allclose(np.bincount(place[:, :, 0].ravel()) / 900, 1 / 4, atol=0.05)
    shown = np.asarray(episodes.stream.y[:, :, 0].argmax(-1))
    assert shown.shape == (300, 6)


def test_inputs_are_scaled_inverted_and_standardised():
    own = ImageClasses(
        "u8", np.arange(0, 240, 5, np.uint8).reshape(12, 2, 2, 1), np.full(2, 6), 255.0
    )
    base = FewShot(ways=2, shots=2, queries=4)
    plain, inverted, standard = (
        dataclasses.replace(base, **options).with_classes(own, own)
        for options in ({}, {"invert": True}, {"invert": True, "standardise": True})
    )
    every = jnp.arange(12)
    x = own.images / 255
    np.testing.assert_allclose(plain.bank.inputs(every), x, atol=1e-6)
    np.testing.assert_allclose(inverted.bank.inputs(every), 1 - x, atol=1e-6)
    expected = ((1 - x) - (1 - x).mean()) / (1 - x).std()
    np.testing.assert_allclose(standard.bank.inputs(every), expected, atol=1e-5)
    assert plain.bank.images.dtype == jnp.uint8


def test_a_lifetime_is_a_function_of_its_key():
    task = make()
    one = task.sample(jr.key(3))
    many = jax.jit(jax.vmap(task.sample))(jr.key(3)[None])
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_array_equal(a, b[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ways": 6}, "--task.ways 6: digits has 5 classes for meta-training"),
        ({"ways": 6, "rotations": "classes", "shots": 180}, "need 185 images a class"),
        ({"shots": 175}, "--task.shots 175 and --task.queries 5 need 180 images a class.* of 177"),
        ({"overlap": True, "queries": 178}, "need 178 images a class"),
        ({"test_classes": 2, "ways": 3}, "digits has 2 classes for meta-testing"),
        ({"ways": 0}, "--task.ways 0: at least 1"),
        ({"queries": 0}, "--task.queries 0: at least 1"),
        ({"moments": 0}, "--task.moments 0: at least 1"),
        ({"width": 4}, "--task.width 4: 5 ways need"),
        ({"data": "digit"}, "unknown data set 'digit'"),
    ],
)
def test_impossible_requests(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        FewShot(**options).load()
    assert "\n" not in str(caught.value)


def test_turns_need_squares():
    flat = ImageClasses("flat", np.zeros((12, 2, 3, 1), np.uint8), np.full(2, 6), 255.0)
    with pytest.raises(UsageError, match="needs square images"):
        FewShot(ways=2, shots=2, queries=2, rotations="lifetime").with_classes(flat, flat)


def test_missing_images(tmp_path, monkeypatch):
    monkeypatch.setenv("METAPLASTIC_OFFLINE", "1")
    monkeypatch.setenv("METAPLASTIC_CACHE", str(tmp_path))
    monkeypatch.delenv("METAPLASTIC_DATA", raising=False)
    with pytest.raises(DataError, match="omniglot needs images_background"):
        FewShot(data="omniglot").load()


def test_images_are_read_before_lifetimes_are_drawn():
    task = FewShot()
    for act in (lambda: task.sample(jr.key(0)), lambda: task.input_shape):
        with pytest.raises(UsageError, match=r"call load\(\) first"):
            act()


@pytest.mark.slow  # tests/papers has a shorter one
def test_digits_are_learned_from_three_examples_each(optimised):
    """Against the same network with its plasticity taken away after meta-training."""
    task = FewShot(ways=3, shots=3, queries=5, order="continual").load()

    def build(key):
        rule = FLP(plasticity=0.0, strength=1.0, multiplier=10.0)
        return online(task, rule=rule, hidden=(32,), rate=1.0, key=key)

    options = MetaOptions(steps=200, meta_batch=8, lr=3e-3, freeze=("state.strength",))
    trainer = MetaTrainer(build, task, Unrolled(), options)
    state, _ = trainer.chunk(trainer.initial([0]), 0, length=200)
    accuracy = trainer.test(state, 100).metric.mean()
    plasticity = lambda own: own.learner.state.plasticity  # noqa: E731
    still = eqx.tree_at(plasticity, state, jax.tree.map(jnp.zeros_like, plasticity(state)))
    assert 0.25 < trainer.test(still, 100).metric.mean() < 0.42
    assert accuracy > 0.55


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("order", "bar"), [("continual", 0.70), ("iid", 0.66)])
def test_small_omniglot(order, bar, optimised):
    """136 characters for meta-training, 106 others for meta-testing, five ways and five shots."""
    task = FewShot(
        data="omniglot", split="small", order=order, resize=28, invert=True, width=20
    ).load()

    def build(key):
        rule = FLP(plasticity=0.0, strength=1.0, multiplier=10.0)
        return online(
            task,
            rule=rule,
            model="conv4",
            filters=(32, 32, 32),
            hidden=(128,),
            strided=True,
            rate=1.0,
            frozen=3,
            key=key,
        )

    options = MetaOptions(steps=600, meta_batch=4, freeze=("state.strength",))
    trainer = MetaTrainer(build, task, Unrolled(), options)
    state, _ = trainer.chunk(trainer.initial([0]), 0, length=600)
    assert float(trainer.test(state, 200).metric.mean()) > bar


def test_a_record_knows_its_images():
    own = FewShot(ways=2, shots=1, queries=1).load()
    record = own.record()
    assert record["name"] == "digits"
    assert record["train"]["classes"] + record["test"]["classes"] == 10
    other = dataclasses.replace(FewShot(ways=2, shots=1, queries=1), test_classes=3).load()
    assert other.record()["sha256"] != record["sha256"]
    assert FewShot(ways=2, shots=1, queries=1).load().record() == record


def shared(counts=(9, 10, 11, 12), **options):
    """The same classes for meta-training and meta-testing, with other images."""
    own = classes(counts)
    half = own.counts // 2
    last = np.concatenate([np.arange(n) >= n - h for n, h in zip(counts, half, strict=True)])
    parts = ((own.images[~last], own.counts - half), (own.images[last], half))
    train, test = (ImageClasses("made up", x, n, 1.0) for x, n in parts)
    task = FewShot(**{"held": "images", "ways": 3, "shots": 2, "queries": 2, **options})
    return task.with_classes(train, test)


def test_every_class_keeps_its_own_output():
    task = shared(labels="own")
    for own in (task, task.held_out()):
        episodes = lifetimes(own)
        assert own.outputs == 4 and episodes.query.y.shape[-1] == 4
        np.testing.assert_array_equal(episodes.query.y.argmax(-1), drawn(episodes.query.x)[0])
        shown = episodes.stream
        np.testing.assert_array_equal(shown.y.argmax(-1), drawn(shown.x)[0])
    assert (drawn(lifetimes(task.held_out()).query.x)[1] >= 5).all()
    turned = shared(labels="own", rotations="classes")
    assert turned.outputs == 16 and (lifetimes(turned, 300).query.y.sum((0, 1)) > 0).all()


def test_the_images_of_every_class_are_split():
    with pytest.raises(UsageError, match="call load"):
        _ = FewShot(held="images", labels="own").outputs
    task = FewShot(held="images", labels="own", shots=50, queries=10).load()
    images = [bank.images.reshape(len(bank.images), -1) for bank in (task.bank, task.spare)]
    digits = load("digits")
    every = np.concatenate([digits.x_train, digits.x_test]).reshape(-1, 64)
    joined = np.concatenate(images)
    np.testing.assert_array_equal(joined[np.lexsort(joined.T)], every[np.lexsort(every.T)])
    counts = np.bincount(np.concatenate([digits.y_train, digits.y_test]))
    np.testing.assert_array_equal(task.spare.count, counts // 2)
    np.testing.assert_array_equal(task.bank.count + task.spare.count, counts)
    means = np.stack([every[np.concatenate([digits.y_train, digits.y_test]) == c].mean(0)
                      for c in range(10)])  # fmt: skip
    for bank, own in zip((task.bank, task.spare), images, strict=True):
        for c in range(10):
            mean = own[bank.first[c] : bank.first[c] + bank.count[c]].mean(0)
            assert np.abs(means - mean).sum(1).argmin() == c
    few = FewShot(held="images", test_images=30).load()
    assert (few.spare.count == 30).all()


def test_classes_drawn_with_replacement():
    """Of 4 classes, 3 draws are all different in 4 * 3 * 2 / 4^3 = 3/8 of the lifetimes."""
    task = shared(labels="own", replacement=True)
    episodes = lifetimes(task, 800)
    shown, asked = drawn(episodes.stream.x[:, :, 0]), drawn(episodes.query.x)
    number = np.array([len(set(own)) for own in asked[0]])
    assert abs((number == 3).mean() - 3 / 8) < 0.05 and (number == 1).any()
    plain = drawn(lifetimes(shared(labels="own")).query.x)[0]
    assert all(len(set(own)) == 3 for own in plain.tolist())
    support, query = (own * 100 + n for own, n in (shown, asked))
    assert not (query[:, :, None] == support[:, None, :]).any()
    permuted = lifetimes(shared(replacement=True), 100)
    for of_class, label in zip(
        drawn(permuted.query.x)[0], permuted.query.y.argmax(-1), strict=True
    ):
        names = set(zip(of_class.tolist(), label.tolist(), strict=True))
        assert len(names) == len(set(of_class.tolist()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "own"}, "--task.labels own: .*pass --task.held images"),
        ({"test_images": 3}, "--task.test-images 3 .*--task.held images"),
        ({"held": "images", "test_classes": 3}, "--task.test-classes 3 splits the classes"),
        ({"held": "images", "test_images": 200}, "--task.test-images 200: digits has a class of"),
        ({"held": "images", "labels": "own", "width": 7}, "--task.width 7: the 10 classes of"),
        ({"held": "images", "shots": 90}, "need 95 images a class"),
    ],
)
def test_impossible_requests_of_shared_classes(options, message):
    with pytest.raises(UsageError, match=message):
        FewShot(**options).load()
