import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import CLASSES, assert_close, batch, network, spread, to_float64

from metaplastic._errors import UsageError
from metaplastic.models import mlp, plastic_layers, resnet20, with_layers
from metaplastic.models._dropout import dropout_mask
from metaplastic.rules._feedback import own_key
from metaplastic.rules._labels import append, overwrite, wrong_labels
from metaplastic.rules.forward_forward import ForwardForward

updates_of = eqx.filter_jit(lambda rule, *args, **kwargs: rule.updates(*args, **kwargs))
APPEND = ForwardForward(label_slots="append")


def network_for(rule, kind="dense", **options):
    """The helper's network with ReLU; of vectors, with room for what the rule appends."""
    options = {"activation": "relu", **options}
    if kind == "conv":
        return network("conv", **options)
    shape = rule.input_shape((5,), CLASSES)
    return to_float64(mlp(shape, CLASSES, hidden=options.pop("hidden", (7, 6)), **options))


def over_rms(h):
    axes = tuple(range(1, h.ndim))
    return h / (jnp.sqrt((h**2).mean(axes, keepdims=True)) + 1e-8)


def straight_through(a):
    return a + jax.lax.stop_gradient(jnp.maximum(a, 0) - a)


def cross_entropy(scores, y):
    return -jnp.log((jax.nn.softmax(scores) * y).sum(1)).mean()


def local_losses(model, activity, x, y, wrong, *, key, through=True, c=0.03):
    """A loss for each hidden layer as a function of its own weights, and where it is evaluated."""
    z, losses = jnp.concatenate([x, wrong]), []
    t = jnp.repeat(jnp.array([1.0, 0.0]), len(x))
    for index, node in enumerate(model.nodes):
        if not plastic_layers(node):
            z = node.apply(z)
            continue
        if len(losses) == len(activity):
            return losses
        shape = jax.eval_shape(node.drive, z).shape
        own_key, mask = jax.random.fold_in(key, index), 1.0
        if node.dropout:
            mask = dropout_mask(shape, node.dropout, z.dtype, key=own_key)
        r = activity[len(losses)]

        def response(layer, z=z, mask=mask):
            f = straight_through if through else lambda a: jnp.maximum(a, 0)
            return f(layer.drive(z)) * mask

        def loss(layer, response=response, r=r):
            h = response(layer)
            g = (h**2).reshape(len(h), -1).sum(1)
            p = jax.nn.sigmoid(g - h[0].size)
            now = 0.9 * r + 0.1 * h[: len(h) // 2].mean(0)
            logistic = -(t * jnp.log(p) + (1 - t) * jnp.log(1 - p)).mean()
            return logistic + c * ((now.mean() - now) ** 2).mean()

        losses.append((loss, node))
        z = over_rms(response(node))
    return losses


@pytest.mark.parametrize(
    ("kind", "through"), spread([("dense", True), ("dense", False), ("conv", True)], 1)
)
def test_every_layer_follows_the_gradient_of_its_own_loss(kind, through, x64, getkey):
    rule = ForwardForward(straight_through=through)
    options = {"bias": True, "dropout": 0.3} if kind == "dense" else {}
    model, key = network_for(rule, kind, key=getkey(), **options), getkey()
    (x, y), state = batch(kind, key=getkey()), rule.init(model, key=key)

    @jax.jit
    def expected(x, y):
        wrong = overwrite(x, wrong_labels(y, key=own_key(key)))
        args = (model, state.activity, overwrite(x, y), y, wrong)
        losses = local_losses(*args, key=key, through=through)
        return [jax.value_and_grad(loss)(layer) for loss, layer in losses]

    updates, new, aux = updates_of(rule, model, state, x, y, key=key)
    *hidden, _ = plastic_layers(updates)
    values, gradients = zip(*expected(x, y), strict=True)
    assert_close(hidden, list(gradients), 1e-12)
    assert float(aux.loss) == pytest.approx(float(sum(values) + cross_entropy(aux.output, y)))
    for old, now in zip(state.activity, new.activity, strict=True):
        assert (old == 0.5).all()
        assert (now != old).any()


def test_output_layer_follows_its_gradient_on_neutral_labels(x64, getkey):
    model, key = network_for(APPEND, bias=True, key=getkey()), getkey()
    x, y = batch("dense", key=getkey())
    updates, _, aux = updates_of(APPEND, model, APPEND.init(model, key=key), x, y, key=key)
    h = jnp.concatenate([x, jnp.full((len(x), CLASSES), 1 / CLASSES)], 1)
    for layer in plastic_layers(model)[:-1]:
        h = over_rms(jnp.maximum(layer.drive(h), 0))
    output = plastic_layers(model)[-1]
    gradient = jax.grad(lambda own: cross_entropy(own.drive(h), y))(output)
    assert_close(plastic_layers(updates)[-1], gradient, 1e-12)
    np.testing.assert_allclose(aux.output, output.drive(h), rtol=1e-12)


def test_layers_above_do_not_matter(x64, getkey):
    rule = ForwardForward()
    model, key = network_for(rule, hidden=(7, 6, 5), key=getkey()), getkey()
    (x, y), state = batch("dense", key=getkey()), rule.init(model, key=getkey())
    before = plastic_layers(updates_of(rule, model, state, x, y, key=key)[0])
    for changed in (1, 2, 3):
        other = eqx.tree_at(
            lambda m, i=changed: plastic_layers(m)[i].weight, model, replace_fn=lambda w: w + 1
        )
        after = plastic_layers(updates_of(rule, other, state, x, y, key=key)[0])
        same = [bool((a.weight == b.weight).all()) for a, b in zip(before, after, strict=True)]
        assert same[:changed] == [True] * changed
        assert not same[changed]


# Labels


def test_wrong_labels_are_wrong_and_even(getkey):
    y = jax.nn.one_hot(jnp.arange(4000) % CLASSES, CLASSES)
    wrong = wrong_labels(y, key=getkey())
    assert (wrong.sum(1) == 1).all()
    assert (wrong * y).sum() == 0
    counts = y.T @ wrong + 1000 / 3 * jnp.eye(CLASSES)
    np.testing.assert_allclose(counts, 1000 / 3, atol=75)  # 5 standard deviations


def test_one_class_is_refused(getkey):
    with pytest.raises(UsageError, match="1 class"):
        wrong_labels(jnp.ones((3, 1)), key=getkey())


def test_labels_are_written_over_the_first_inputs():
    label = jnp.array([[0.0, 0.0, 1.0, 0.0]])
    vector = overwrite(jnp.full((1, 6), 7.0), label)
    assert vector.tolist() == [[0, 0, 1, 0, 7, 7]]
    image = overwrite(jnp.full((1, 3, 3, 2), 7.0), label)
    for channel in (0, 1):
        assert image[0, :, :, channel].tolist() == [[0, 0, 1], [0, 7, 7], [7, 7, 7]]
    with pytest.raises(UsageError, match="append"):
        overwrite(jnp.ones((1, 3)), label)


def test_labels_are_appended(getkey):
    x = jnp.arange(12.0).reshape(2, 3, 2, 1)
    label = jax.nn.one_hot(jnp.array([1, 0]), 2)
    assert append(x, label).tolist() == [[0, 1, 2, 3, 4, 5, 0, 1], [6, 7, 8, 9, 10, 11, 1, 0]]
    assert APPEND.input_shape((3, 2, 1), 2) == (8,)
    model = mlp((3, 2, 1), 2, hidden=(3,), key=getkey())
    with pytest.raises(UsageError, match="input_shape"):
        APPEND.updates(model, APPEND.init(model, key=getkey()), x, label, key=getkey())


# Read-out


@pytest.mark.parametrize("slots", ["append", "overwrite"])
@pytest.mark.parametrize("hidden", [(6,), (7, 6, 5)])
def test_goodness_read_out_tries_every_label(slots, hidden, x64, getkey):
    rule = ForwardForward(label_slots=slots)
    model = network_for(rule, hidden=hidden, key=getkey())
    x, _ = batch("dense", key=getkey())
    scores = rule.predict(model, rule.init(model, key=getkey()), x)
    matrices = [np.asarray(own.weight) for own in plastic_layers(model)[:-1]]
    expected = np.zeros((len(x), CLASSES))
    for i, one in enumerate(np.asarray(x)):
        for k in range(CLASSES):
            label = np.eye(CLASSES)[k]
            h = np.concatenate([one, label] if slots == "append" else [label, one[CLASSES:]])
            found = []
            for w in matrices:
                h = np.maximum(h @ w, 0)
                found.append((h**2).sum())
                h = h / (np.sqrt((h**2).mean()) + 1e-8)
            expected[i, k] = found[0] if len(found) == 1 else sum(found[1:])
    np.testing.assert_allclose(scores, expected, rtol=1e-12)


def test_linear_read_out_is_one_softmax_of_all_hidden_layers_but_the_first(x64, getkey):
    """Its weights, the output layer's among them, take one step: rate, momentum and decay."""
    rule = ForwardForward(label_slots="append", readout="linear", readout_decay=0.1)
    model, key = network_for(rule, hidden=(7, 6, 5), bias=True, key=getkey()), getkey()
    (x, y), start = batch("dense", key=getkey()), rule.init(model, key=getkey())
    assert [r if r is None else r.shape for r in start.readout.matrices] == [None, (6, 4), None]
    h, found = append(x, jnp.full((len(x), CLASSES), 1 / CLASSES)), []
    *hidden, _ = plastic_layers(model)
    for layer in hidden:
        h = over_rms(jnp.maximum(layer.drive(h), 0))
        found.append(h)

    def scores(matrix, output):
        return found[1] @ matrix + output.drive(found[2])

    def whole(model, state):
        return state.readout.matrices[1], plastic_layers(model)[-1]

    slope = jax.jit(jax.grad(lambda own: cross_entropy(scores(*own), y)))

    velocity, state, own = None, start, whole(model, start)
    for _ in range(2):
        np.testing.assert_allclose(rule.predict(model, state, x), scores(*own), rtol=1e-12)
        slopes = jax.tree.map(lambda slope, w: slope + 0.1 * w, slope(own), own)
        velocity = jax.tree.map(
            lambda slope, v: 0.9 * v + 5.0 * slope,
            slopes,
            velocity or jax.tree.map(jnp.zeros_like, slopes),
        )
        own = jax.tree.map(jnp.subtract, own, velocity)
        updates, state, _ = updates_of(rule, model, state, x, y, key=key, learning_rate=0.5)
        # What an optimiser makes of the output layer's update does not matter.
        after = with_layers(model, [*plastic_layers(model)[:-1], plastic_layers(updates)[-1]])
        model, state = rule.after_step(model, after, state)
        assert_close(whole(model, state), own, 1e-12)
    with pytest.raises(UsageError, match="learning_rate"):
        rule.updates(model, state, x, y, key=key)


def test_goodness_leaves_the_output_layer_to_the_optimiser(x64, getkey):
    model, other = (network_for(APPEND, key=getkey()) for _ in range(2))
    state = APPEND.init(model, key=getkey())
    assert APPEND.after_step(model, other, state) == (other, state)


# Edges


def test_a_batch_of_one_and_an_axis_of_seeds(getkey):
    x, y = jnp.ones((1, 5)), jnp.eye(CLASSES)[:1]

    def run(key):
        model = mlp((5 + CLASSES,), CLASSES, hidden=(4, 3), key=key)
        state = APPEND.init(model, key=key)
        updates, state, _ = APPEND.updates(model, state, x, y, key=key)
        return updates, APPEND.predict(model, state, x)

    keys = jax.random.split(getkey(), 2)
    together, alone = jax.jit(jax.vmap(run))(keys), jax.jit(run)(keys[1])
    assert_close(jax.tree.map(lambda leaf: leaf[1], together), alone, 1e-5)
    assert alone[1].shape == (1, CLASSES)


def test_networks_that_are_no_plain_sequence_are_refused(getkey):
    residual = resnet20((8, 8, 1), CLASSES, blocks=1, key=getkey())
    shallow = mlp((5,), CLASSES, hidden=(), key=getkey())
    for model in (residual, shallow):
        with pytest.raises(UsageError, match="plain sequence"):
            ForwardForward().init(model, key=getkey())
