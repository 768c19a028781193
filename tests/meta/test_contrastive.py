"""The contrastive rule on losses whose meta-gradient is known, and what its phases tell."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from settling import Points, Quadratic, Silent, at_beta, fields, first, with_solver
from toy_lifetimes import compiled, flat, leaky

from metaplastic._errors import UsageError
from metaplastic.learners.complex_synapse import ComplexSynapse, complex_synapse
from metaplastic.learners.solver import Batch
from metaplastic.meta.contrastive import Contrastive
from metaplastic.meta.implicit import Implicit
from metaplastic.meta.unrolled import Unrolled
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.tasks.sinusoid import Sinusoid

KEY = jr.key(2)


@pytest.fixture(scope="module")
def quadratic():
    with jax.enable_x64(True):
        yield Quadratic()


@pytest.fixture(scope="module")
def estimate(quadratic):
    """`(learner, beta, contrast, steps) -> (relative error, gradient, quality)`, compiled once for
    all beta."""

    def found(learner, beta, contrast, steps):
        estimator = at_beta(beta, contrast=contrast, steps=steps)
        gradient, aux = estimator(learner, quadratic.episodes, key=KEY)
        return quadratic.error(gradient), gradient, first(aux.quality)

    program = compiled(found)

    def run(learner, beta, contrast, steps=0):
        return program(learner, jnp.asarray(beta), contrast, steps)

    return run


@pytest.fixture(scope="module")
def hasty(quadratic):
    """Twenty steps of gradient descent a phase, at the largest rate that all beta up to 1 bear."""
    a, _, b, _ = quadratic.landscape()
    largest = np.linalg.eigvalsh(a + np.diag(quadratic.strength) + b).max()
    return with_solver(quadratic.learner, "sgd", 20, rate=float(1 / largest))


def slope(x, y):
    return np.polyfit(np.log(x), np.log(y), 1)[0]


@pytest.mark.parametrize(
    ("contrast", "order", "tolerance", "factor"),
    [
        ("one_sided", 1.0, 0.02, 0.91),
        ("symmetric", 2.0, 0.05, 0.91),
        ("three_point", 2.0, 0.05, 1.82),
    ],
)
def test_order_of_the_bias(x64, quadratic, estimate, contrast, order, tolerance, factor):
    betas = np.array([1e-2, 1e-3, 1e-4])
    found = np.array([estimate(quadratic.learner, beta, contrast)[0] for beta in betas])
    assert slope(betas, found) == pytest.approx(order, abs=tolerance)
    # Its size too is that of such landscapes.
    assert found[0] / betas[0] ** order == pytest.approx(factor, rel=0.2)


def test_what_the_free_phase_left(x64, estimate, hasty):
    """Contrasts with the free phase divide by beta what it left; those of two phases cancel it."""
    betas = np.array([1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0])
    one_sided = {beta: estimate(hasty, beta, "one_sided", 20)[0] for beta in betas}
    assert one_sided[1e-4] > 1
    assert 0.01 <= min(one_sided, key=one_sided.__getitem__) <= 0.1
    assert all(estimate(hasty, beta, "symmetric", 20)[0] < 2e-3 for beta in (1e-4, 1e-2))
    assert estimate(hasty, 1e-6, "control", 20)[0] < 2e-3


class Imprecise(ComplexSynapse):
    """Phases end at `delta` from the minimum, each in a direction of its own."""

    delta: jax.Array

    def settle(self, fast, support, query=None, beta=0.0, *, solver=None, rate=None, key):
        exact = super().settle(fast, support, query, beta, solver=solver, rate=rate, key=key)
        leaves, structure = jax.tree.flatten(exact)
        noise = jr.normal(key, leaves[0].shape)
        off = jax.lax.stop_gradient(self.delta) * noise / jnp.linalg.norm(noise)
        return jax.tree.unflatten(structure, [leaves[0] + off])


@pytest.mark.parametrize(
    ("contrast", "of_beta", "of_error"), [("one_sided", 0.5, 0.5), ("symmetric", 1 / 3, 2 / 3)]
)
def test_best_beta_grows_with_the_error_of_the_phases(x64, quadratic, contrast, of_beta, of_error):
    learner = Imprecise(**fields(quadratic.learner), delta=jnp.zeros(()))
    betas = np.geomspace(1e-5, 1.0, 36)
    deltas = np.geomspace(1e-8, 1e-3, 6)

    def error(delta, beta, key):
        own = eqx.tree_at(lambda own: own.delta, learner, delta)
        estimator = at_beta(beta, contrast=contrast, steps=0, independent=True, measure=False)
        return quadratic.error(estimator(own, quadratic.episodes, key=key)[0])

    grid = jax.vmap(error, (None, None, 0))
    grid = jax.vmap(jax.vmap(grid, (None, 0, None)), (0, None, None))
    found = compiled(grid)(jnp.asarray(deltas), jnp.asarray(betas), jr.split(KEY, 10))
    found = np.asarray(found).mean(-1)
    # The minimum is flat: a parabola through its neighbours finds it between the betas.
    best = []
    for own in found:
        i = own.argmin()
        near = slice(max(i - 3, 0), i + 4)
        curve = np.polyfit(np.log(betas[near]), np.log(own[near]), 2)
        best.append((np.exp(-curve[1] / (2 * curve[0])), own[i]))
    best_beta, best_error = np.array(best).T
    assert slope(deltas, best_beta) == pytest.approx(of_beta, abs=0.03)
    assert slope(deltas, best_error) == pytest.approx(of_error, abs=0.03)


def test_large_beta_is_exact_for_the_loss_along_the_way(x64, quadratic, estimate):
    """One-sided at beta = 10: the gradient of (ell(theta, beta) - ell(theta, 0)) / beta."""
    a, centre, b, other = quadratic.landscape()
    beta = 10.0
    size = len(centre)

    def least(theta, beta):
        omega, strength = theta[:size], theta[size:]
        hessian = a + np.diag(strength) + beta * b
        phi = np.linalg.solve(hessian, a @ centre + strength * omega + beta * b @ other)
        learn = (phi - centre) @ a @ (phi - centre) + strength @ (phi - omega) ** 2
        return 0.5 * (learn + beta * (phi - other) @ b @ (phi - other))

    theta = np.concatenate([flat(quadratic.omega), quadratic.strength])
    expected = np.zeros_like(theta)
    for i in range(len(theta)):
        off = np.zeros_like(theta)
        off[i] = 1e-4
        for sign in (1, -1):
            surrogate = (least(theta + sign * off, beta) - least(theta + sign * off, 0)) / beta
            expected[i] += sign * surrogate / 2e-4
    error, gradient, _ = estimate(quadratic.learner, beta, "one_sided")
    found = np.concatenate([flat(gradient.consolidated), flat(gradient.strength)])
    assert np.linalg.norm(found - expected) < 1e-7 * np.linalg.norm(expected)
    assert error > 0.5  # and it is far from the gradient at beta = 0


class NoNegativeNudge(ComplexSynapse):
    """The defect of leaving the evaluation loss out where beta is negative."""

    def augmented_loss(self, fast, support, query=None, beta=0.0):
        return super().augmented_loss(fast, support, query, jnp.maximum(beta, 0.0))

    def augmented_slope(self, fast, support, query=None, beta=0.0, *, key):
        return super().augmented_slope(fast, support, query, jnp.maximum(beta, 0.0), key=key)


def test_phases_of_opposite_nudges_move_in_opposite_directions(x64, quadratic, estimate):
    defective = NoNegativeNudge(**fields(quadratic.learner))
    fine, wrong = (
        estimate(own, 1e-2, "symmetric")[2]["opposition"] for own in (quadratic.learner, defective)
    )
    assert fine < -0.95
    assert wrong > -0.95


def test_advice(x64, quadratic, estimate, hasty):
    def told(contrast, *arguments):
        beta = arguments[1]
        return Contrastive(beta=beta, contrast=contrast).advice(
            {name: float(own) for name, own in estimate(*arguments)[2].items()}
        )

    assert told("symmetric", quadratic.learner, 1e-2, "symmetric") == {}
    assert told("one_sided", quadratic.learner, 1e-2, "one_sided") == {}
    # Beyond the curvature of L_learn the negative side has no minimum, Newton's method climbs.
    said = told("symmetric", quadratic.learner, 10.0, "symmetric")["climbs"]
    assert "in 100% of the lifetimes a nudged phase ends higher" in said and "three_point" in said
    said = told("one_sided", hasty, 1e-3, "one_sided", 20)["free_stationarity"]
    assert "far from stationary" in said and "--estimator.contrast symmetric" in said
    said = told("symmetric", hasty, 1e-6, "symmetric", 20)
    assert list(said) in (["nudged_stationarity"], ["opposition"])
    assert Contrastive().advice({}) == {}


@pytest.mark.parametrize(
    ("contrast", "quality", "measure", "sentence"),
    [
        ("symmetric", {"opposition": -0.69}, "opposition", "opposite directions (cosine -0.69"),
        ("symmetric", {"opposition": 0.41}, "opposition", "opposite directions (cosine 0.41"),
        ("symmetric", {"nudged_stationarity": 3.0}, "nudged_stationarity", "slope 3 times that"),
        ("symmetric", {"opposition": -0.95, "free_stationarity": 0.5}, "free_stationarity", "0.05"),
        ("control", {"free_stationarity": 0.41}, "free_stationarity", "a slope 0.041 of that of"),
        ("one_sided", {"free_stationarity": 0.2}, "free_stationarity", "0.2 of the nudge's"),
        ("symmetric", {"climbs": 4e-4}, "climbs", "in 0.04% of the lifetimes"),
        ("symmetric", {}, None, ""),
        ("control", {}, None, ""),
    ],
)
def test_what_is_told_of_phases_that_did_not_settle(contrast, quality, measure, sentence):
    """Recorded measures of estimates whose error is far above one half, and of good ones."""
    fine = {"free_stationarity": 1.7e-3, "nudged_stationarity": 0.001}
    if contrast == "symmetric":
        fine["opposition"] = -0.97
    told = Contrastive(beta=0.1, contrast=contrast).advice({**fine, "climbs": 0.0, **quality})
    assert list(told) == ([] if measure is None else [measure])
    assert all(sentence in own for own in told.values())


def test_measures_of_the_phases(x64, quadratic, estimate, hasty):
    """What `advice` says of them, from the phases themselves."""
    learner, beta = hasty, 1e-2
    quality = estimate(learner, beta, "symmetric", 20)[2]
    a, centre, b, other = quadratic.landscape()
    strength, omega = np.diag(quadratic.strength), np.asarray(flat(quadratic.omega))

    def slope_of(phi, beta):
        return a @ (phi - centre) + strength @ (phi - omega) + beta * b @ (phi - other)

    def settled(phi, beta):
        for _ in range(20):
            phi = phi - learner.rate * slope_of(phi, beta)
        return phi

    free = settled(omega, 0.0)
    plus, minus = settled(free, beta) - free, settled(free, -beta) - free
    nudge = np.linalg.norm(beta * b @ (free - other))
    left = [np.linalg.norm(slope_of(free + own, s * beta)) for own, s in ((plus, 1), (minus, -1))]
    expected = {
        "free_stationarity": np.linalg.norm(slope_of(free, 0.0)) / nudge,
        "nudged_stationarity": max(left) / nudge,
        "climbs": 0.0,
        "opposition": plus @ minus / np.linalg.norm(plus) / np.linalg.norm(minus),
    }
    assert {name: float(own) for name, own in quality.items()} == pytest.approx(expected, rel=1e-9)


def test_nudged_phases_are_one_batched_program(quadratic, hasty):
    """Two loops in all: the free phase, and that of both nudged ones."""
    for contrast in ("symmetric", "three_point", "control", "one_sided"):
        estimator = Contrastive(contrast=contrast)
        program = eqx.filter_make_jaxpr(estimator)(hasty, quadratic.episodes, key=KEY)[0]
        assert loops(program.jaxpr) == 2


@pytest.mark.parametrize("independent", [False, True])
def test_nudged_phases_take_their_first_step_from_one_slope(x64, quadratic, independent):
    """Each ends where it would have ended alone, and starts without a product of its own."""
    learner = with_solver(quadratic.learner, "nesterov", 4, 7, rate=0.05)
    stream, query = quadratic.episode.stream, quadratic.episode.query
    support, query = Batch(stream.x[0], stream.y[0]), Batch(query.x, query.y)
    free = jax.tree.map(lambda own: own + 0.1, learner.consolidated)

    def together(steps):
        estimator = Contrastive(contrast="three_point", steps=steps, independent=independent)
        return estimator.nudged(learner, free, support, query, key=KEY)

    def alone(b, key):
        solver = dataclasses.replace(learner.solver, steps=3)
        return flat(learner.settle(free, support, query, b, solver=solver, key=key))

    nudges, phases = compiled(together)(3)
    keys = jr.split(KEY, 2) if independent else [KEY, KEY]
    expected = [compiled(alone)(b, key) for b, key in zip(nudges, keys, strict=True)]
    np.testing.assert_allclose(flat(phases), np.concatenate(expected), rtol=1e-12, atol=1e-12)
    if not independent:
        program = eqx.filter_make_jaxpr(together)(1)[0]
        products = [own for own in program.jaxpr.eqns if own.primitive.name == "dot_general"]
        assert products and all(own.outvars[0].aval.ndim == 2 for own in products)


def loops(jaxpr):
    found = 0
    for equation in jaxpr.eqns:
        found += equation.primitive.name in ("scan", "while")
        found += sum(map(loops, jaxprs_in_params(equation.params)))
    return found


def test_memory_does_not_grow_with_the_phases(x64, quadratic):
    def growth(estimator):
        needed = []
        for steps in (100, 10_000):
            own = with_solver(quadratic.learner, "sgd", steps, rate=0.1)
            program = compiled(estimator).lower(own, quadratic.episodes, key=KEY).compile()
            needed.append(program.compiled.memory_analysis().temp_size_in_bytes)
        return needed[1] / needed[0]

    assert growth(Contrastive(measure=False)) < 1.1
    assert growth(Unrolled(rematerialise="none")) > 10


def test_phases_share_their_batches_unless_they_must_not(x64, quadratic):
    """What a phase draws with its key is the same in both, and cancels."""
    learner = Imprecise(**fields(quadratic.learner), delta=jnp.asarray(1.0))
    stream, query = quadratic.episode.stream, quadratic.episode.query
    support, query = Batch(stream.x[0], stream.y[0]), Batch(query.x, query.y)

    def apart(key):
        found = []
        for independent in (False, True):
            estimator = Contrastive(beta=1e-9, independent=independent)
            nudged = estimator.nudged(learner, learner.consolidated, support, query, key=key)[1]
            found.append(jnp.abs(jnp.diff(flat(nudged).reshape(2, -1), axis=0)).max())
        return found

    common, independent = compiled(apart)(KEY)
    assert common < 1e-8 and independent > 0.1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"beta": 0.0}, "--estimator.beta 0.0: without nudging there is nothing to contrast"),
        ({"beta": float("nan")}, "--estimator.beta nan: it must be finite"),
        ({"beta": float("inf")}, "--estimator.beta inf: it must be finite"),
        ({"rate": -1.0}, "--estimator.rate -1.0: it must be positive"),
        ({"rate": float("nan")}, "--estimator.rate nan: it must be positive"),
        ({"steps": -1}, "--estimator.steps -1: it must not be negative"),
    ],
)
def test_impossible_options(options, told):
    with pytest.raises(UsageError, match=told):
        Contrastive(**options)


def shaped(estimator, **options):
    """The shapes of a meta-gradient of a small network on sine curves."""
    learner = eqx.filter_eval_shape(
        complex_synapse, Sinusoid(), **{"rule": Backprop(), "hidden": (3,), **options}, key=KEY
    )
    batch = jax.eval_shape(jax.vmap(Sinusoid().sample), jr.split(KEY, 2))
    return eqx.filter_eval_shape(estimator, learner, batch, key=KEY)


def test_options_that_only_the_phases_can_judge():
    with pytest.raises(UsageError, match=r"--estimator\.steps 0: at least 1 is needed"):
        shaped(Contrastive(steps=0))
    with pytest.raises(UsageError, match="bfgs follows the gradient of the loss"):
        shaped(Contrastive(optimiser="bfgs"), rule=FeedbackAlignment())
    for estimator in (Contrastive(), Implicit()):
        with pytest.raises(UsageError, match=r"--learner\.strength 0: nothing draws the weights"):
            shaped(estimator, strength=0.0)


def test_only_a_loss_that_is_descended_can_be_climbed():
    """A local rule may end higher on the loss of its phase than it began."""
    assert "climbs" in shaped(Contrastive())[1].quality
    assert "climbs" not in shaped(Contrastive(), rule=FeedbackAlignment())[1].quality


@pytest.mark.parametrize("estimator", [Contrastive(), Implicit()])
def test_problems_that_are_not_bilevel(estimator):
    def try_on(task, learner=None):
        batch = jax.eval_shape(jax.vmap(task.sample), jr.split(KEY, 2))
        learner = learner or eqx.filter_eval_shape(
            complex_synapse, task, rule=Backprop(), hidden=(), key=KEY
        )
        eqx.filter_eval_shape(estimator, learner, batch, key=KEY)

    with pytest.raises(UsageError, match="settles to the minimum of a loss, and Leaky does not"):
        try_on(Points(), leaky())
    with pytest.raises(UsageError, match="one set of examples, and this task's have 3 moments"):
        try_on(Sinusoid(moments=3))
    with pytest.raises(UsageError, match="questions at the end of a lifetime"):
        try_on(Silent())
