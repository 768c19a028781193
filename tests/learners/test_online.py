"""Any rule as a learner: what changes within a lifetime, what does not, and who has a rate."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from helpers import assert_close, spread, to_float64
from toy_lifetimes import compiled

from metaplastic import _registry
from metaplastic._errors import UsageError
from metaplastic.learners.lifetime import lifetime, live
from metaplastic.learners.online import OnlineLearner, online, with_loss
from metaplastic.meta.first_order import FirstOrder
from metaplastic.meta.unrolled import Unrolled
from metaplastic.models import mlp, plastic_layers, weights
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.tasks.base import Episode, Query, Stream
from metaplastic.tasks.criteria import CLASSIFICATION
from metaplastic.tasks.sinusoid import Sinusoid

TASK = Sinusoid(shots=5, moments=3, queries=4)


def made(getkey, *, rule=None, seed_episodes=2, **options):
    """A learner of three layers, and episodes; in float64."""
    rule = Backprop(loss="squared_error") if rule is None else rule

    def both(key):
        model = mlp((1,), 1, hidden=(4, 3), activation="tanh", bias=True, key=key)
        learner = OnlineLearner(model, rule, key=key, **{"rate": 0.05, **options})
        return to_float64(learner), jax.vmap(TASK.sample)(jr.split(key, seed_episodes))

    return compiled(both)(getkey())


def one(episodes):
    return jax.tree.map(lambda leaf: leaf[0], episodes)


def test_a_step_answers_and_then_descends(x64, getkey):
    learner, episodes = made(getkey)
    x, y = one(episodes).stream.x[0], one(episodes).stream.y[0]
    life = learner.birth(key=getkey())
    after, output = learner.step(life, x, y, key=getkey())
    assert_close(output, learner.model(x), 1e-14)
    gradient = jax.grad(
        lambda own: 0.5 * ((eqx.combine(own, learner.model)(x) - y) ** 2).sum(-1).mean()
    )(weights(learner.model))
    expected = jax.tree.map(lambda w, g: w - 0.05 * g, weights(learner.model), gradient)
    assert_close(weights(learner.inherit(after).model), expected, 1e-13)
    assert_close(learner.predict(after, x), learner.inherit(after).model(x), 1e-14)


def test_a_moment_without_y_changes_nothing(x64, getkey):
    learner, episodes = made(getkey)
    life = learner.birth(key=getkey())
    after, output = learner.step(life, one(episodes).stream.x[0], None, key=getkey())
    assert after is life
    assert output.shape == (5, 1)


def test_an_optimiser_has_its_state_in_the_life(x64, getkey):
    """Momentum within a lifetime, by hand."""
    learner, episodes = made(getkey, optimiser=optax.trace(0.9))
    own = one(episodes)
    lived = compiled(lifetime)(learner, own, key=getkey())
    model = learner.model
    velocity = jax.tree.map(jnp.zeros_like, weights(model))
    for x, y in zip(own.stream.x, own.stream.y, strict=True):

        def loss(arrays, x=x, y=y):
            return 0.5 * ((eqx.combine(arrays, learner.model)(x) - y) ** 2).sum(-1).mean()

        gradient = jax.grad(loss)(weights(model))
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, gradient)
        model = eqx.apply_updates(model, jax.tree.map(lambda v: -0.05 * v, velocity))
    assert_close(weights(learner.inherit(lived.life).model), weights(model), 1e-12)


@pytest.mark.parametrize(
    ("options", "change"),
    spread(
        [
            ({"frozen": 1, "frozen_head": 1}, [False, True, False]),
            ({"frozen": 2}, [False, False, True]),  # ANIL
            ({"frozen_head": 1}, [True, True, False]),  # BOIL
        ],
        1,
    ),
)
def test_frozen_layers_stay_but_are_meta_learned(x64, getkey, options, change):
    learner, episodes = made(getkey, **options)
    lived = compiled(lifetime)(learner, one(episodes), key=getkey())
    layers = zip(
        plastic_layers(learner.model),
        plastic_layers(learner.inherit(lived.life).model),
        strict=True,
    )
    assert [bool((a.weight != b.weight).any()) for a, b in layers] == change
    gradient = compiled(Unrolled())(learner, episodes, key=getkey())[0]
    assert all(bool((own.weight != 0).all()) for own in plastic_layers(gradient.model))


def test_frozen_front_layers_are_outside_the_life(x64, getkey):
    learner, episodes = made(getkey, frozen=2)
    life = learner.birth(key=getkey())
    assert len(plastic_layers(life.model)) == 1
    x = one(episodes).stream.x[0]
    front = plastic_layers(learner.model)[:2]
    hidden = jnp.tanh(
        jnp.tanh(x @ front[0].weight + front[0].bias) @ front[1].weight + front[1].bias
    )
    assert_close(learner.perceive(x), hidden, 1e-13)
    assert_close(learner.predict(life, learner.perceive(x)), learner.model(x), 1e-13)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"frozen": 3}, "--learner.frozen 3 and .* leave none of the 3 layers"),
        ({"frozen": 2, "frozen_head": 1}, "--learner.frozen-head 1 leave none of the 3 layers"),
        ({"rate": -1.0}, "--learner.rate -1.0: it must not be negative"),
        ({"frozen": -1}, "--learner.frozen -1"),
        ({"frozen_head": -1}, "--learner.frozen-head -1"),
    ],
)
def test_impossible_freezing(getkey, options, told):
    model = mlp((1,), 1, hidden=(4, 3), key=getkey())
    with pytest.raises(UsageError, match=told):
        OnlineLearner(model, Backprop(), key=getkey(), **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "conv4"}, "use --learner.model mlp"),
        ({"filters": (3,)}, "--learner.filters is no option of the model mlp.* --learner.hidden"),
    ],
)
def test_advice_on_networks_names_the_learners_options(getkey, options, told):
    with pytest.raises(UsageError, match=told):
        online(Sinusoid(), rule=Backprop(), key=getkey(), **options)


@pytest.mark.parametrize("rates", spread(["synapse", "tensor", "global"], 1))
def test_rates_of_one_value_live_as_the_fixed_rate(x64, getkey, rates):
    fixed, episodes = made(getkey)
    learner = OnlineLearner(fixed.model, fixed.rule, rate=0.05, rates=rates, key=getkey())
    learner = to_float64(learner)
    sizes = [leaf.shape for leaf in jax.tree.leaves(learner.rate)]
    theirs = [leaf.shape for leaf in jax.tree.leaves(weights(fixed.model))]
    assert sizes == {"global": [()], "tensor": [()] * 6, "synapse": theirs}[rates]
    key = getkey()
    a, b = (compiled(live)(own, one(episodes), key=key).loss for own in (learner, fixed))
    assert jnp.allclose(a, b, rtol=1e-12)
    gradient = compiled(Unrolled())(learner, episodes, key=key)[0].rate
    assert all(bool((leaf != 0).any()) for leaf in jax.tree.leaves(gradient))


def test_first_order_lives_the_same_lifetime(x64, getkey):
    learner, episodes = made(getkey)
    key = getkey()
    a, b = (
        compiled(live)(own, one(episodes), key=key).loss for own in (learner, learner.detached())
    )
    assert a == b
    assert not learner.first_order


def test_compiled_and_mapped_is_one_after_the_other(x64, getkey):
    learner, episodes = made(getkey, rule=FeedbackAlignment(loss="squared_error"))
    keys = jr.split(getkey(), 2)
    both = compiled(
        lambda own: jax.vmap(lambda episode, key: live(own, episode, key=key))(episodes, keys)
    )(learner)
    for i in range(2):
        episode = jax.tree.map(lambda leaf, i=i: leaf[i], episodes)
        life = learner.birth(key=keys[i])
        for x, y in zip(episode.stream.x, episode.stream.y, strict=True):
            life = learner.step(life, x, y, key=keys[i])[0]
        answers = learner.predict(life, episode.query.x)
        assert jnp.allclose(both.loss[i], ((answers - episode.query.y) ** 2).mean(), rtol=1e-12)


def continual(getkey, classes=3, shots=4):
    """Classes one after the other, and questions about all of them: OML's lifetimes."""
    centre_key, noise_key, query_key = jr.split(getkey(), 3)
    centres = jr.normal(centre_key, (classes, 1, 6))
    x = centres + 0.2 * jr.normal(noise_key, (classes, shots, 6))
    y = jnp.broadcast_to(jnp.eye(classes)[:, None], (classes, shots, classes))
    asked = (centres + 0.2 * jr.normal(query_key, (classes, shots, 6))).reshape(-1, 6)
    query = Query(asked, y.reshape(-1, classes))
    one_example = (classes * shots, 1)
    stream = Stream(x.reshape(*one_example, 6), y.reshape(*one_example, classes), None, None)
    return Episode(stream, query, CLASSIFICATION)


def test_oml_learns_what_its_frozen_layers_show(getkey):
    """Frozen representation, on-line head: a few meta-steps make learning class by class work."""
    model = mlp((6,), 3, hidden=(20, 20), bias=True, key=getkey())
    learner = OnlineLearner(model, Backprop(), rate=0.1, frozen=2, key=getkey())
    keys = jr.split(getkey(), 8)
    seeds = iter(range(100))
    episodes = [continual(lambda k=key: jr.fold_in(k, next(seeds))) for key in keys]
    episodes = jax.tree.map(lambda *leaves: jnp.stack(leaves), *episodes)
    arrays, rest = eqx.partition(learner, eqx.is_inexact_array)

    def step(arrays, key):
        own = eqx.combine(arrays, rest)
        gradient, aux = FirstOrder()(own, episodes, key=key)
        return jax.tree.map(lambda w, g: w - 0.1 * g, arrays, gradient), aux.loss.mean()

    losses = jax.jit(lambda arrays: jax.lax.scan(step, arrays, jr.split(keys[0], 60))[1])(arrays)
    assert float(losses[-1]) < 0.6 * float(losses[0])


def test_the_builder_takes_the_loss_of_the_task(getkey):
    learner = online(TASK, rule=Backprop(), hidden=(4,), frozen=1, key=getkey())
    assert learner.rule.loss == "squared_error"
    assert [layer.weight.shape for layer in plastic_layers(learner.model)] == [(1, 4), (4, 1)]
    assert with_loss(FeedbackAlignment(), TASK).loss == "squared_error"


@pytest.mark.parametrize("name", spread(_registry.names("rules"), 5))
def test_any_rule_lives_or_says_why_not(name, getkey):
    rule = _registry.load("rules", name)()

    def verdict(key):
        learner = online(TASK, rule=rule, hidden=(4,), key=key)
        return live(learner, TASK.sample(key), key=key)

    try:
        found = compiled(verdict)(getkey())
    except UsageError as error:
        assert name == "forward_forward" and "two classes" in str(error)
        return
    assert np.isfinite(float(found.loss))


def test_an_mlp_of_no_given_widths_is_small(getkey):
    own = online(Sinusoid(), rule=Backprop(), key=getkey())
    assert [layer.weight.shape for layer in plastic_layers(own.model)] == [
        (1, 40),
        (40, 40),
        (40, 1),
    ]
    given = online(Sinusoid(), rule=Backprop(), hidden=(3,), key=getkey())
    assert len(plastic_layers(given.model)) == 2
