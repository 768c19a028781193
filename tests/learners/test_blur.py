"""BLUR against autodiff and its equations written out, what bounds synapses, and transfer."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import assert_close, spread
from toy_lifetimes import compiled

from metaplastic._errors import UsageError
from metaplastic.analysis.transplant import transplant
from metaplastic.learners import _blur_products
from metaplastic.learners._blur_passes import changes, normalised, strengthened
from metaplastic.learners._blur_products import correlate, flat, send
from metaplastic.learners._genome import Norm, make_genome
from metaplastic.learners.blur import BlurLife, _check, blur
from metaplastic.meta.unrolled import Unrolled
from metaplastic.tasks.plane_functions import PlaneFunctions
from metaplastic.testing._episodes import Clusters
from metaplastic.train.meta_diagnosis import diagnose
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer

TOY = Clusters(input_shape=(3,), outputs=2)
BACKPROPAGATION = {
    "hidden": (5, 4),
    "channels": "single",
    "symmetric": True,
    "backward": "second_state",
    "second_state": "slope",
    "feedback": "error",
    "activation": "sigmoid",
    "output_activation": "sigmoid",
    "backward_activation": "identity",
    "norm": "none",
    "synapse_rate": 1.0,
}
PLAIN = {"hidden": (4, 5), "states": 3, "init": "random", "norm": "none"}


def batch(task=TOY, *, size=7, seed=1):
    """Inputs and labels from NumPy, for which nothing is compiled."""
    random = np.random.default_rng(seed)
    classes = random.integers(0, task.outputs, size)
    x = random.standard_normal((size, *task.input_shape))
    return jnp.asarray(x), jnp.asarray(np.eye(task.outputs)[classes])


def shaped(task=TOY, **options):
    """A learner without numbers."""
    return eqx.filter_eval_shape(lambda key: blur(task, **options, key=key), jr.key(0))


def drawn(task=TOY, **options):
    """A learner whose genome is random throughout, and a life of it; nothing is compiled."""
    random = np.random.default_rng(0)

    def fill(leaf):
        return jnp.asarray(random.normal(0.5, 0.3, leaf.shape), leaf.dtype)

    learner = shaped(task, **options)
    life = eqx.filter_eval_shape(lambda own: own.birth(key=jr.key(0)), learner)
    learner, life = jax.tree.map(fill, (learner, life))
    return learner, jax.tree.map(lambda w: w - 0.5, life)


def numbers(tree):
    """As NumPy arrays, for oracles."""
    return jax.tree.map(np.asarray, tree)


# Exactness


def test_the_special_case_is_gradient_descent(x64, getkey):
    """k=2, one symmetric channel, state 2 multiplied by what comes back: autodiff's gradient."""
    learner, y = blur(TOY, **BACKPROPAGATION, key=getkey()), batch()[1]

    def loss(weights, x, y):
        for w in weights:
            x = jax.nn.sigmoid(x @ w[:-1] + w[-1])
        return -(y * jax.nn.log_softmax(x)).sum(-1).mean()

    def both(key):
        birth_key, data_key = jr.split(key)
        x = jr.normal(data_key, (7, 3))
        life = learner.birth(key=birth_key)
        after, _ = learner.step(life, x, y, key=key)
        moved = [new[0] - old[0] for new, old in zip(after.up, life.up, strict=True)]
        return moved, jax.grad(loss)([own[0] for own in life.up], x, y)

    keys = jr.split(getkey(), 3)
    for moved, gradient in (compiled(both)(keys[0]), compiled(jax.vmap(both))(keys)):
        for own, slope in zip(moved, gradient, strict=True):
            assert float(jnp.abs(own + slope).max()) < 1e-10
            assert float(jnp.abs(slope).max()) > 1e-4


BOUNDED = {"synapse_norm": True, "oja": 0.1, "saturation": 2.0}
SETTINGS = [
    {"norm": "both", "per_layer": True, **BOUNDED},
    {},
    {"norm": "both", "over": "layer", "symmetric": True, "channels": "single", **BOUNDED},
    {"norm": "backward", "backward": "multiplicative", "per_layer": True, "oja": 0.2},
    {"norm": "forward", "backward": "second_state", "states": 2, "saturation": 1.0},
    {"backward": "multiplicative", "channels": "single", "synapse_norm": True},
    {"norm": "both", "symmetric": True, "per_layer": True, "states": 4, "oja": 0.1},
]


@pytest.mark.parametrize(
    ("options", "joint"),
    [({}, False), (SETTINGS[0], True), *spread([(own, True) for own in SETTINGS[1:]], 1)],
)
def test_a_moment_is_the_equations_written_out(x64, getkey, monkeypatch, options, joint):
    """Every sum with its indices, under all that a genome and its network may have."""
    monkeypatch.setattr(_blur_products, "_SMALL", 10**9 if joint else 0)
    (learner, life), (x, y) = drawn(**{**PLAIN, **options}), batch()
    after, output = compiled(learner.step)(life, x, y, key=getkey())
    up, down, answer = _written_out(learner, numbers(life), np.asarray(x), np.asarray(y))
    assert np.allclose(output, answer, atol=1e-12)
    assert_close(after.up, tuple(up), 1e-12)
    assert len(after.down) == (0 if options.get("symmetric") else 2)
    if after.down:
        assert_close(after.down, tuple(down), 1e-12)


def _written_out(learner, life, x, y):
    """The synapses after a moment, and the answers: each equation one sum over all indices.

    Activities are [batch, units, states], as in the paper. `genes[i]` is the genome of the
    synapses that lead to layer i + 1.
    """
    wiring, layers = learner.wiring, len(life.up)
    genes = [numbers(learner.genome[i if len(learner.genome) > 1 else 0]) for i in range(layers)]
    states = genes[0].states
    one = np.ones((len(x), 1, states))

    def acting(g, w, inputs):
        """Synapses with a row for each state; normalised over `inputs`, the presynaptic axis."""
        if g.scale is not None:
            w = g.scale * w / np.sqrt(np.square(w).sum(inputs, keepdims=True) + 1e-10)
        return np.repeat(w, states, 0) if len(w) == 1 else w

    def brought(norm, drive):
        if norm is None:
            return drive
        axes = (0,) if wiring.over == "batch" else (0, 1)
        deviation = np.sqrt(drive.var(axes, keepdims=True) + 1e-5)
        return (drive - drive.mean(axes, keepdims=True)) / deviation * norm.deviation + norm.mean

    a = [np.stack([x] + [0 * x] * (states - 1), -1)]
    for g, w in zip(genes, life.up, strict=True):
        sent = np.einsum("cij,cd,bid->bjc", acting(g, w, 1), g.forward, np.append(a[-1], one, 1))
        a.append(np.tanh(brought(g.forward_norm, g.gain * sent)))
    answer = a[-1][..., 0]
    a[-1] = np.stack([answer, 2 * y - 1] + [0 * y] * (states - 2), -1)
    for i in range(layers - 1, 0, -1):
        g = genes[i]  # presynaptic to what comes down are the units above
        w = life.up[i][:, :-1] if wiring.symmetric else life.down[i - 1]
        message = np.einsum("cij,cd,bjd->bic", acting(g, w, 2), g.backward, a[i + 1])
        added = wiring.backward == "additive"
        drive = g.keep * a[i] + g.gain * message if added else g.keep * a[i] * message
        after = np.tanh(brought(g.backward_norm, drive))
        keeps = wiring.backward == "second_state"
        a[i] = np.append(a[i][..., :1], after[..., 1:], -1) if keeps else after

    def changed(g, w, pre, post, form, inputs):
        hebb = np.einsum(form, pre, g.pre, g.post, post) / len(x)
        new = g.synapse_keep * w + g.synapse_rate * hebb
        if g.oja is not None:
            new = new - abs(g.synapse_rate) * g.oja * w * np.square(w).sum(inputs, keepdims=True)
        return new if g.saturation is None else g.saturation * np.tanh(new / g.saturation)

    up = [
        changed(g, w, np.append(a[i], one, 1), a[i + 1], "bie,ec,cd,bjd->cij", 1)
        for i, (g, w) in enumerate(zip(genes, life.up, strict=True))
    ]
    down = [
        changed(genes[i], w, a[i + 1], a[i], "bje,ec,cd,bid->cij", 2)
        for i, w in enumerate(life.down, start=1)
    ]
    return up, down, answer


def test_symmetric_feedback_is_that_of_the_transpose(x64, getkey):
    (learner, life), (x, y) = drawn(**PLAIN, symmetric=True), batch()
    twin = shaped(**PLAIN).with_genome(learner.genome)
    assert life.down == ()
    transposed = BlurLife(life.up, tuple(w[:, :-1] for w in life.up[1:]))
    after = compiled(learner.step)(life, x, y, key=getkey())[0].up
    assert_close(after, compiled(twin.step)(transposed, x, y, key=getkey())[0].up, 1e-12)


def test_one_channel_serves_all_states(x64, monkeypatch):
    random = np.random.default_rng(0)
    mixer, w, a = (jnp.asarray(random.normal(size=own)) for own in ((3, 3), (1, 4, 5), (6, 3, 4)))
    told = np.einsum("ij,cd,bdi->bcj", w[0], mixer, a)
    for small in (0, 10**9):
        monkeypatch.setattr(_blur_products, "_SMALL", small)
        assert np.allclose(send(a, mixer, w), told.reshape(6, -1), atol=1e-12)


def test_what_is_told():
    """Labels become +1 and -1, other targets stay; further states are emptied."""
    learner, output = shaped(**PLAIN), jnp.asarray(np.arange(12.0).reshape(2, 3, 2))
    told = learner.told(output, jnp.asarray([[1.0, 0.0], [0.0, 1.0]]))
    assert np.array_equal(told[:, 0], output[:, 0])
    assert np.array_equal(told[:, 1], [[1, -1], [-1, 1]]) and not told[:, 2].any()
    plane = shaped(PlaneFunctions(), states=3)
    y = jnp.asarray([[0.5, -0.25]])
    assert np.array_equal(plane.told(output[:1], y)[:, 1], y)


@pytest.mark.parametrize("backward", ["multiplicative", "second_state"])
def test_multiplied_feedback(x64, backward):
    (learner, life), (x, _) = drawn(**PLAIN, backward=backward), batch()
    a = compiled(learner.ascend)(life, x)
    after = compiled(learner.descend)(life, a)[2]
    message = np.einsum("cij,cd,bdj->bci", life.down[1], learner.genome[0].backward, a[3])
    wanted = np.tanh(learner.genome[0].keep * np.asarray(a[2]) * message)
    if backward == "second_state":
        wanted = np.concatenate([a[2][:, :1], wanted[:, 1:]], 1)
    assert np.allclose(after, wanted, atol=1e-12)


# What bounds activities and synapses


@pytest.mark.parametrize("over", ["batch", "layer"])
def test_normalisation_gives_the_mean_and_deviation_of_the_genome(x64, over):
    norm = Norm(jnp.asarray([0.5, -1.0]), jnp.asarray([2.0, 0.25]))
    drive = 3 + 5 * np.random.default_rng(0).normal(size=(40, 2, 6)) * np.arange(1.0, 7)
    drive = jnp.asarray(drive)
    after = np.asarray(compiled(normalised)(norm, flat(drive), 2, over)).reshape(40, 2, 6)
    axes = (0,) if over == "batch" else (0, 2)
    broadcast = (slice(None), *(None for _ in range(2 - len(axes))))
    assert np.allclose(after.mean(axes), np.asarray(norm.mean)[broadcast], atol=1e-9)
    assert np.allclose(after.std(axes), np.asarray(norm.deviation)[broadcast], atol=1e-4)
    assert np.array_equal(normalised(None, drive[:, 0], 2, over), drive[:, 0])


def growth(genome, *, axis=1, moments=400):
    """Norms over presynaptic units after each moment of one unchanging correlation."""
    hebb = jnp.broadcast_to(jnp.asarray([1.0, -2.0])[:, None], (1, 2, 3))

    def moment(w, _):
        after = strengthened(genome, w, hebb, axis=axis)
        return after, jnp.sqrt(jnp.square(after).sum(axis))

    return jax.lax.scan(moment, jnp.full((1, 2, 3), 0.1), None, length=moments)[1]


def test_inhibition_and_saturation_bound_synapses(x64, getkey):
    options = {"forward_norm": False, "backward_norm": False, "scale": None, "key": getkey()}
    make = partial(make_genome, 2, 1, "backprop", synapse_rate=0.05, **options)
    free = growth(make(oja=None, saturation=None))
    assert np.allclose(np.diff(free[:, 0, 0], axis=0)[10:], 0.05 * np.sqrt(5), atol=1e-3)
    bound = growth(make(oja=2.0, saturation=None))
    # hebb = oja w |w|^2 at rest, so that |w|^3 = |hebb| / oja.
    assert np.allclose(bound[-1], (np.sqrt(5) / 2) ** (1 / 3), atol=1e-6)
    full = growth(make(oja=None, saturation=0.3))
    assert float(full.max()) < 0.3 * np.sqrt(2)
    assert np.allclose(full[-1], full[-2], atol=1e-9) and float(full[-1].min()) > 0.3


def test_synapses_that_act_normalised_do_not_depend_on_their_size(x64):
    (learner, life), (x, _) = drawn(**PLAIN, synapse_norm=True), batch()
    larger, predict = jax.tree.map(lambda w: 100.0 * w, life), compiled(learner.predict)
    assert_close(predict(larger, x), predict(life, x), 1e-8)


def test_hidden_units_have_no_order(x64, getkey):
    options = PLAIN | {"norm": "both", "oja": 0.1, "synapse_norm": True}
    (learner, life), (x, y) = drawn(**options), batch()
    order = np.asarray([2, 0, 3, 1])

    def reordered(life):
        life = numbers(life)
        first, second = life.up[0][..., order], life.up[1][:, np.append(order, 4)]
        down = life.down[0][:, order], life.down[1]
        return BlurLife(*jax.tree.map(jnp.asarray, ((first, second, life.up[2]), down)))

    step = compiled(learner.step)
    after, output = step(life, x, y, key=getkey())
    permuted, same = step(reordered(life), x, y, key=getkey())
    assert_close(same, output, 1e-12)
    assert_close(permuted, reordered(after), 1e-12)


def test_a_batch_of_one_and_a_moment_without_y(getkey):
    (learner, life), (x, y) = drawn(over="layer"), batch(size=1)
    after, output = compiled(learner.step)(life, x, y, key=getkey())
    assert all(np.isfinite(w).all() for w in (*after.up, *after.down, output))
    same, output = eqx.filter_eval_shape(learner.step, life, x, None, key=getkey())
    assert jax.tree.structure(same) == jax.tree.structure(life) and output.shape == (1, 2)
    with pytest.raises(UsageError, match="one example has no deviation"):
        shaped().predict(life, x)
    norm = learner.genome[0].forward_norm
    slope = jax.grad(lambda drive: normalised(norm, drive, 2, "batch").sum())(jnp.ones((3, 6)))
    assert np.isfinite(slope).all()


# Births, genomes, other networks


def test_births(getkey):
    learner = drawn(hidden=(400,))[0]
    born = compiled(learner.birth)
    first, second = (born(key=getkey()) for _ in range(2))
    assert not np.array_equal(first.up[1], second.up[1])
    for w, limit in ((first.up[0], 4**-0.5), (first.up[1], 401**-0.5), (first.down[0], 2**-0.5)):
        assert 0.95 * limit < float(jnp.abs(w).max()) <= limit
    plain = drawn(hidden=(400,), scaled=False, draw=3)[0]
    born = compiled(plain.birth)
    first, second = (born(key=getkey()) for _ in range(2))
    assert np.array_equal(first.up[1], second.up[1])
    assert 0.95 < float(jnp.abs(first.up[1]).max()) <= 1


def test_the_genome_is_all_that_is_learned():
    options = {"oja": 0.1, "saturation": 3.0, "synapse_norm": True}
    small, large = (shaped(hidden=h, **options) for h in ((3,), (50, 40, 30)))
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(own)) for own in (small, large)]
    assert sizes == [4 * 4 + 4 + 8 + 3] * 2
    layered = shaped(hidden=(3, 3), per_layer=True)
    assert len(layered.genome) == 3 and layered.genes(2) is layered.genome[2]


def test_the_same_genome_in_another_network():
    learner = shaped(hidden=(4,), states=3, activation="relu")
    task = Clusters(input_shape=(2, 2, 1), outputs=5)
    other = learner.with_network(task, hidden=(6, 7), backward_activation="identity")
    assert other.genome[0] is learner.genome[0]
    assert other.shape.sizes == (4, 6, 7, 5)
    assert other.wiring.activation == "relu" and other.wiring.backward_activation == "identity"
    x, y = batch(task)

    def lived(own):
        return own.step(own.birth(key=jr.key(0)), x, y, key=jr.key(1))

    life, output = eqx.filter_eval_shape(lived, other)
    assert output.shape == (7, 5) and life.up[1].shape == (3, 7, 7)
    assert learner.with_network(task).shape.sizes == (4, 4, 5)


def test_genomes_that_do_not_fit():
    learner = shaped(hidden=(4,), per_layer=True)
    with pytest.raises(UsageError, match="each of 2 layers cannot run a network of 3"):
        learner.with_network(TOY, hidden=(4, 4))
    with pytest.raises(UsageError, match=r"3 states and the network of 2.*--learner\.states 3"):
        shaped().with_genome(shaped(states=3).genome)
    with pytest.raises(UsageError, match=r"3 states and the network of 2.*--learner\.states 3"):
        transplant(shaped(states=3), shaped())
    with pytest.raises(UsageError, match=r"2 channels and the network of 1.*channels multi"):
        transplant(shaped(), shaped(channels="single"))
    with pytest.raises(UsageError, match=r"forward_norm.*has no place in the other learner"):
        transplant(shaped(), shaped(norm="none"))
    with pytest.raises(UsageError, match="of 1 channels and the network of 2"):
        shaped().with_genome(shaped(channels="single").genome[0])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"states": 1}, "--learner.states 1"),
        ({"hidden": (0,)}, "--learner.hidden 0"),
        ({"oja": -1.0}, "--learner.oja -1.0"),
        ({"saturation": 0.0}, "--learner.saturation 0.0"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        shaped(**options)


def test_misspelt_choices():
    with pytest.raises(UsageError, match="second-state slop: did you mean"):
        _check(2, backward="additive", second_state="slop")


@pytest.mark.slow
def test_a_huge_rate_is_named():
    task = PlaneFunctions(functions=("xor",), moments=20, batch=8, queries=8)
    options = {"norm": "none", "activation": "identity", "backward_activation": "identity"}
    options |= {"hidden": (3,), "output_activation": "identity", "synapse_rate": 1e6}
    trainer = MetaTrainer(
        lambda key: blur(task, **options, key=key), task, Unrolled(), MetaOptions(meta_batch=2)
    )
    replica = jax.tree.map(lambda leaf: leaf[0], trainer.initial([0]))
    found = diagnose(trainer, replica, 0)
    assert found.lifetime == 0 and found.moment is not None and found.moment < 20
    assert "is not finite in lifetime 0, moment" in str(found)


def test_correlations_that_one_product_serves(x64):
    """Up and down of one pair of layers, against changes one at a time."""
    genome = drawn(**PLAIN)[0].genome[0]
    random = np.random.default_rng(0)
    a, b = (jnp.asarray(random.normal(size=(6, 3, n))) for n in (4, 5))
    up, down = compiled(partial(changes, symmetric=False))(genome, a, b)
    alone, none = compiled(partial(changes, symmetric=True))(genome, a, b)
    assert none is None
    assert_close(up, alone, 1e-12)
    assert_close(down, compiled(correlate)(a, b, genome.post, genome.pre.T), 1e-12)
