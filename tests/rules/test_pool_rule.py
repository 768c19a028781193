import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import CLASSES, assert_close, batch, gradient, network, spread, update

from metaplastic._errors import UsageError
from metaplastic.losses import LOSSES
from metaplastic.models import Conv, mlp, plastic_layers
from metaplastic.models._activations import ACTIVATIONS
from metaplastic.rules._pool_formula import formula
from metaplastic.rules._pool_synapses import Synapses, slope_below
from metaplastic.rules._pool_terms import PUBLISHED, SETS, TERMS
from metaplastic.rules.direct_feedback_alignment import DirectFeedbackAlignment
from metaplastic.rules.pool import Pool, PoolState, combine

LOSS = LOSSES["cross_entropy"]


def with_random_coefficients(rule, state, seed=0):
    """The state with coefficients that all differ."""
    random = np.random.default_rng(seed)
    leaves, tree = jax.tree.flatten(state.coefficients)
    drawn = [jnp.asarray(random.standard_normal(leaf.shape)) for leaf in leaves]
    return PoolState(jax.tree.unflatten(tree, drawn), state.feedback)


def softplus(z):
    return np.log1p(np.exp(10 * z)) / 10


def slope(y):
    return np.maximum(1 - np.exp(-10 * y), 0)  # below 0 at inputs alone


def seen(model, feedback, x, y):
    """What the synapses of each layer see of one example, written out: (x, y, e, d, W)."""
    weights = [np.asarray(layer.weight, np.float64).T for layer in plastic_layers(model)]
    activity = [np.asarray(x)]
    for weight in weights[:-1]:
        activity.append(softplus(weight @ activity[-1]))
    drive = weights[-1] @ activity[-1]
    activity.append(np.exp(drive) / np.exp(drive).sum())
    errors = [activity[-1] - np.asarray(y)]
    for below, back in zip(activity[-2::-1], feedback[::-1], strict=True):
        errors.insert(0, (np.asarray(back) @ errors[0]) * slope(below))
    return [
        (activity[i], activity[i + 1], errors[i + 1], errors[i], weights[i])
        for i in range(len(weights))
    ]


def ten_terms(x, y, e, d, w):
    """Equations 14 to 23 of Shervani-Tabar & Rosenbaum (2023), as outer products."""
    agreement, drive, one = y @ w @ d, x @ w.T @ e, np.ones_like(y)
    return [
        *(-np.outer(e, x), -np.outer(y, d), -np.outer(e, d), -w, -np.outer(one, d)),
        *(-np.outer(e, x) * y.sum(), -np.outer(y, d) * agreement, -np.outer(e, x) * agreement),
        *(-np.outer(y, d) * drive, np.outer(y, x) - np.outer(y, y) @ w),
    ]


@pytest.fixture
def problem(x64, getkey):
    model = network("dense", hidden=(7, 6), activation="softplus", key=getkey())
    return model, *batch("dense", key=getkey())


def test_ten_terms_are_ten_outer_products(problem, getkey):
    model, x, y = problem
    rule = Pool(terms=("published",))
    state = with_random_coefficients(rule, rule.init(model, key=getkey()))
    theta = [float(state.coefficients[name]) for name in PUBLISHED]
    updates, after, _ = update(rule, model, state, x, y, key=getkey())
    expected = [0.0] * 3
    for one, label in zip(x, y, strict=True):
        for index, own in enumerate(seen(model, state.feedback, one, label)):
            changes = zip(theta, ten_terms(*own), strict=True)
            expected[index] = expected[index] - sum(t * f for t, f in changes) / len(x)
    for layer, own in zip(plastic_layers(updates), expected, strict=True):
        assert_close(layer.weight, own.T, 1e-12)
    assert_close(after, state, 0)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_pseudo_gradient_with_symmetric_feedback_is_the_gradient(kind, x64, getkey):
    options = {"bias": True, "norm": "running"} if kind == "conv" else {}
    model = network(kind, activation="softplus", **options, key=getkey())
    x, y = batch(kind, key=getkey())
    rule, key = Pool(terms=("pseudo_gradient",), feedback="symmetric"), getkey()
    updates, _, _ = update(rule, model, rule.init(model, key=key), x, y, key=key)
    assert_close(updates, gradient(model, LOSS, x, y, key=key), 1e-12)


def test_a_convolution_is_the_linear_map_that_it_is(x64, getkey):
    """Synapses of a convolution add up those of the matrix whose entries they are."""
    layer = Conv(2, 3, 2, padding=1, key=getkey())
    weight = jnp.asarray(np.random.default_rng(0).standard_normal(layer.weight.shape))
    layer = eqx.tree_at(lambda own: own.weight, layer, weight)
    random = np.random.default_rng(1)
    x, sent = (random.standard_normal((1, 3, 2, 2)) for _ in range(2))
    y, e = (random.standard_normal((1, 4, 3, 3)) for _ in range(2))

    @jax.jit
    def matrices(weight):
        """Of the map, and of each of its weights alone, [units, inputs]."""
        inputs = jnp.eye(x.size).reshape(-1, *x.shape[1:])

        def one(weight):
            linear = eqx.tree_at(lambda own: own.weight, layer, weight).linear(inputs)
            return linear.reshape(len(inputs), -1).T

        alone = jnp.eye(weight.size).reshape(-1, *weight.shape)
        return one(weight), jax.vmap(one)(alone)

    whole, alone = map(np.asarray, matrices(weight))
    ten = ten_terms(x.ravel(), y.ravel(), e.ravel(), 3 * sent.ravel(), whole)
    shared = [np.einsum("wui,ui->w", alone, own).reshape(weight.shape) for own in ten]
    shared[3] = -np.asarray(weight)
    theta = random.standard_normal(10)
    own = Synapses(layer, *map(jnp.asarray, (x, y, e, sent)), slope=lambda own: 3.0)
    parts = [(jnp.asarray(t), TERMS[name](own)) for t, name in zip(theta, PUBLISHED, strict=True)]
    change = combine(layer, parts)
    assert_close(change, sum(t * f for t, f in zip(theta, shared, strict=True)), 1e-12)


@pytest.mark.parametrize("granularity", ["layer", "synapse"])
def test_abcd_is_as_written_out(granularity, problem, getkey):
    model, x, y = problem
    rule = Pool(terms=("abcd",), granularity=granularity)
    state = with_random_coefficients(rule, rule.init(model, key=getkey()))
    updates, _, _ = update(rule, model, state, x, y, key=getkey())
    for index, layer in enumerate(plastic_layers(updates)):
        a, b, c, d = (np.asarray(state.coefficients[name][index]).T for name in SETS["abcd"])
        expected = 0.0
        for one, label in zip(x, y, strict=True):
            pre, post, *_ = seen(model, state.feedback, one, label)[index]
            expected -= (a * np.outer(post, pre) + b * pre[None] + c * post[:, None] + d) / len(x)
        assert_close(layer.weight, expected.T, 1e-12)


def test_taylor_basis_is_as_written_out(problem, getkey):
    model, x, y = problem
    rule = Pool(terms=("taylor",))
    state = with_random_coefficients(rule, rule.init(model, key=getkey()))
    updates, _, _ = update(rule, model, state, x, y, key=getkey())
    for index, layer in enumerate(plastic_layers(updates)):
        expected = 0.0
        for one, label in zip(x, y, strict=True):
            pre, post, _, _, w = seen(model, state.feedback, one, label)[index]
            for name, theta in state.coefficients.items():
                i, j, k = (int(part[1:]) for part in name.split("_"))
                expected -= float(theta) * np.outer(post**j, pre**i) * w**k / len(x)
        assert_close(layer.weight, expected.T, 1e-12)


def test_direct_feedback_is_that_of_direct_feedback_alignment(problem, getkey):
    model, x, y = problem
    rule = Pool(terms=("pseudo_gradient",), feedback="direct")
    state = rule.init(model, key=getkey())
    first, *maps = state.feedback
    assert first.shape == (CLASSES, *x.shape[1:])
    updates, _, _ = update(rule, model, state, x, y, key=getkey())
    dfa = update(DirectFeedbackAlignment(), model, tuple(maps), x, y, key=getkey())[0]
    assert_close(updates, dfa, 1e-13)


def test_softplus_slope_is_a_function_of_the_activity(x64):
    z = jnp.linspace(-1.0, 1.0, 41)
    own = ACTIVATIONS["softplus"]
    derivative = jax.jvp(own.value, (z,), (jnp.ones_like(z),))[1]
    assert np.allclose(own.slope_at_post(own.value(z)), derivative, atol=1e-14)
    assert np.allclose(own.slope(z), derivative, atol=1e-14)


def test_terms_act_where_they_may(problem, getkey):
    model, x, y = problem
    key = getkey()
    whole = Pool(terms=("ehebb=1", "oja=0"))
    part = Pool(terms=("ehebb=1", "oja=0"), only=("ehebb=2,3",))
    state = whole.init(model, key=key)
    assert float(state.coefficients["ehebb"]) == 1
    a, b = (update(rule, model, state, x, y, key=key)[0] for rule in (whole, part))
    (_, *rest), (first, *same) = plastic_layers(a), plastic_layers(b)
    assert not np.any(first.weight)
    assert_close([own.weight for own in same], [own.weight for own in rest], 1e-14)


@pytest.mark.parametrize(
    ("fields", "new"),
    spread(
        [
            ({}, True),
            ({"feedback": "direct"}, True),
            ({"keep_feedback": True}, False),
            ({"feedback": "learned"}, False),
        ],
        2,
    ),
)
def test_feedback_of_a_new_lifetime(fields, new, getkey):
    model = mlp((5,), 3, hidden=(4,), key=getkey())
    rule = Pool(**fields)
    state = rule.init(model, key=getkey())
    born = rule.reborn(model, state, key=getkey())
    assert jax.tree.structure(born) == jax.tree.structure(state)
    same = [np.array_equal(a, b) for a, b in zip(born.feedback, state.feedback, strict=True)]
    assert not any(same) if new else all(same)
    assert rule.init(model, key=getkey()).coefficients["pseudo_gradient"] == 1
    kept = rule.learned(state).feedback
    assert (kept is None) == new


@pytest.mark.parametrize(
    ("feedback", "through", "flows"),
    [
        ("random", False, False),
        ("symmetric", False, False),
        ("symmetric", True, True),
        ("learned", False, True),
    ],
)
def test_derivatives_through_feedback(feedback, through, flows, getkey):
    model = mlp((5,), 3, hidden=(4,), key=getkey())
    rule = Pool(feedback=feedback, through_feedback=through)

    def sent(weights):
        """What carries errors, as a function of the weights that it is made of."""
        net = eqx.tree_at(lambda net: [own.weight for own in plastic_layers(net)], model, weights)
        return sum((leaf**2).sum() for leaf in rule._weights(net, PoolState({}, weights)))

    slopes = jax.grad(sent)(tuple(layer.weight for layer in plastic_layers(model)))
    assert any(np.any(leaf) for leaf in slopes) == flows


def test_formula():
    def written(granularity, **values):
        rule = Pool(terms=tuple(values), granularity=granularity)
        return rule.formula(PoolState({k: jnp.asarray(v) for k, v in values.items()}, None))

    own = written("global", pseudo_gradient=0.0561, ehebb=-0.0711, oja=0.02, decay=0.0)
    assert own == "dW = -0.0561 e x^T + 0.0711 e d^T + 0.02 (y x^T - y y^T W)"
    assert written("global", oja=-1.0, ehebb=2.0) == "dW = -1 (y x^T - y y^T W) - 2 e d^T"
    layers = written("layer", oja=[0.5, 0.0], x2_y1_w1=[0.0, 0.25])
    assert layers == "dW_1 = 0.5 (y x^T - y y^T W)\ndW_2 = 0.25 y (x^2)^T * W"
    assert written("global", decay=0.0) == "dW = 0"
    assert written("global", pre=0.5, constant=-2.0) == "dW = 0.5 * 1 x^T - 2 * 1 1^T"


def test_formula_of_terms_that_act_in_some_layers():
    def written(granularity, only, **values):
        rule = Pool(terms=tuple(values), granularity=granularity, only=only)
        values = {
            name: own if isinstance(own, tuple) else jnp.asarray(own)
            for name, own in values.items()
        }
        return rule.formula(PoolState(values, None))

    one = {"pseudo_gradient": 1.0, "ehebb": 1.0}
    told = "dW_2 = -1 e x^T - 1 e d^T\ndW of all other layers = -1 e x^T"
    assert written("global", ("ehebb=2",), **one) == told
    two = {"pseudo_gradient": [1.0, 2.0, 3.0], "ehebb": [4.0, 5.0, 6.0]}
    told = "dW_1 = -1 e x^T\ndW_2 = -2 e x^T - 5 e d^T\ndW_3 = -3 e x^T"
    assert written("layer", ("ehebb=2",), **two) == told
    every = {"pre": (jnp.ones((2, 3)), jnp.full((3, 2), 3.0))}
    assert written("synapse", (), **every).endswith("  theta * 1 x^T, theta 2 ± 1")
    own = written("synapse", ("pre=2",), **every)
    assert own.endswith("  theta * 1 x^T in layer 2, theta 3 ± 0")


@pytest.mark.parametrize(
    ("value", "own", "told"),
    [
        (-0.5, "e x^T - y d^T", "-0.5 (e x^T - y d^T)"),
        (0.5, "-e x^T+y d^T", "0.5 (-e x^T+y d^T)"),
        (0.5, "-2 e x^T", "-0.5 * 2 e x^T"),
        (-0.5, "-(e - mean e) x^T", "0.5 (e - mean e) x^T"),
        (2.0, "e^-1 x^T * 1e-3", "2 e^-1 x^T * 1e-3"),
        (2.0, "e-y", "2 (e-y)"),
    ],
)
def test_formula_of_a_sum_stands_in_brackets(value, own, told):
    assert formula({"own": own}, {"own": value}, "global") == f"dW = {told}"


@pytest.mark.parametrize(
    ("activation", "x", "told"),
    [
        ("softplus", [-2.0, -0.5, 0.0, 0.5], [0, 0, 0, 1 - np.exp(-5)]),
        ("tanh", [-3.0, 0.5, 1.0, 3.0], [0, 0.75, 0, 0]),
        ("relu", [-1.0, 0.5], [0, 1]),
        ("identity", [-1.0, 0.5], [1, 1]),
    ],
)
def test_slope_at_inputs_that_no_unit_could_have(activation, x, told, getkey):
    layers = plastic_layers(mlp((4,), 3, hidden=(5,), activation=activation, key=getkey()))
    assert np.allclose(slope_below(layers, 0)(jnp.asarray(x)), told, atol=1e-6)
    if activation != "identity":
        assert slope_below(layers, 1) is ACTIVATIONS[activation].slope_at_post


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"terms": ("ehbb",)}, "unknown term 'ehbb': did you mean 'ehebb'?"),
        ({"terms": ("x1_y1_w3",)}, "the Taylor terms go from x0_y0_w0 to x2_y2_w2"),
        ({"terms": ("oja=much",)}, "--rule.terms 'oja=much': write NAME or NAME=VALUE"),
        ({"terms": ("oja", "published")}, "--rule.terms names oja twice"),
        ({"terms": ()}, "--rule.terms is empty"),
        ({"only": ("hebb=1",)}, "--rule.only hebb=1: hebb is none of the terms"),
        ({"only": ("ehebb",)}, "--rule.only ehebb: write TERM=LAYERS"),
        ({"only": ("ehebb=4",)}, "--rule.only ehebb=4: the network has 2 layers"),
        ({"only": ("ehebb=1", "ehebb=2")}, "--rule.only names ehebb twice: write all"),
        ({"terms": ("nowhere.py:mine",)}, "no file"),
        ({"terms": ("ehebb=nan",)}, "--rule.terms 'ehebb=nan': write NAME or NAME=VALUE"),
        ({"terms": ("ehebb=-inf",)}, "--rule.terms 'ehebb=-inf': write NAME or NAME=VALUE"),
        ({"feedback": "randm"}, "--rule.feedback randm: did you mean 'random'?"),
        ({"granularity": "foo"}, "--rule.granularity foo: there is: global, layer, synapse"),
        ({"feedback_init": "foo"}, "--rule.feedback-init foo"),
        ({"loss": "foo"}, "--rule.loss foo"),
    ],
)
def test_errors(fields, message, getkey):
    model = mlp((5,), 3, hidden=(4,), key=getkey())
    with pytest.raises(UsageError, match=r"^[^\n]*$") as error:
        rule = Pool(**fields)
        state = rule.init(model, key=getkey())
        rule.updates(model, state, jnp.ones((1, 5)), jnp.eye(1, 3), key=getkey())
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return s.e", "returns an array of shape (2, 3) where (5, 3) is needed"),
        ("return s.e, s.x, None, 1", "the term mine returns 4 factors: return (post, pre)"),
        ("return s.x, s.e", "returns the factor post of shape (2, 5) where (2, 3) is needed"),
    ],
)
def test_a_term_that_is_wrong(body, message, tmp_path, getkey):
    path = tmp_path / "mine.py"
    head = "from metaplastic.rules.pool import term\n\n@term('-e')\ndef mine(s):\n    "
    path.write_text(head + body)
    model = mlp((5,), 3, hidden=(), key=getkey())
    rule = Pool(terms=(f"{path}:mine",))
    state = rule.init(model, key=getkey())
    with pytest.raises(UsageError) as error:
        rule.updates(model, state, jnp.ones((2, 5)), jnp.eye(2, 3), key=getkey())
    assert message in str(error.value)
    path.write_text("def mine(s):\n    return s.y, s.x\n")
    with pytest.raises(UsageError, match="mine is no term yet"):
        rule._terms()
