"""One lifetime: what is judged, with which keys, and what a learner may not do."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from toy_lifetimes import Leaky, compiled, episodes, leaky

from metaplastic._errors import UsageError
from metaplastic.learners.base import Detached, pass_through
from metaplastic.learners.lifetime import judge, lifetime, live
from metaplastic.testing import check_learner


def lived(getkey, **options):
    x = jr.normal(getkey(), (1, 4, 2))
    options = {"target": jnp.roll(x, 1, 1), "asked": x[:, 0], **options}
    return jax.tree.map(lambda leaf: leaf[0], episodes(x, **options))


def test_it_is_a_loop_over_moments(x64, getkey):
    episode, learner = lived(getkey), leaky()
    found = compiled(lifetime)(learner, episode, key=getkey())
    life, outputs = learner.start, []
    for x in episode.stream.x[:, 0]:
        outputs.append(life)
        life = learner.decay * life + learner.gain * x
    assert np.allclose(found.life, life) and np.allclose(found.outputs[:, 0], jnp.stack(outputs))
    assert np.allclose(found.answers, life)


def test_the_loss_is_that_of_moments_and_questions(x64, getkey):
    episode = lived(getkey)
    episode = eqx.tree_at(lambda own: own.stream.weight, episode, jnp.asarray([0.0, 1.0, 3.0, 0.5]))
    found = lifetime(leaky(), episode, key=getkey())
    errors = ((found.outputs[:, 0] - episode.stream.target[:, 0]) ** 2).sum(-1)
    asked = ((found.answers - episode.query.y) ** 2).sum(-1).mean()
    verdict = judge(episode, found)
    weight = np.asarray([0.0, 1.0, 3.0, 0.5])
    assert np.allclose(verdict.loss, (weight * errors).sum() + asked)
    assert np.allclose(verdict.metric, asked)


def test_without_questions_the_metric_is_of_the_moments(x64, getkey):
    episode = lived(getkey, asked=None)
    found = lifetime(leaky(), episode, key=getkey())
    assert found.answers is None
    verdict = judge(episode, found)
    assert np.allclose(verdict.metric, verdict.loss / 4)


def test_moments_that_do_not_happen_change_nothing(x64, getkey):
    episode = lived(getkey, target=None)
    mask = jnp.asarray([True, True, False, False])
    masked = eqx.tree_at(
        lambda own: own.stream.mask, episode, mask, is_leaf=lambda leaf: leaf is None
    )
    short = eqx.tree_at(lambda own: own.stream.x, episode, episode.stream.x[:2])
    key = getkey()
    assert np.allclose(live(leaky(), masked, key=key).loss, live(leaky(), short, key=key).loss)
    assert not np.allclose(live(leaky(), episode, key=key).loss, live(leaky(), short, key=key).loss)


def test_every_moment_has_a_key_of_its_own(x64, getkey):
    class Noisy(Leaky):
        def step(self, life, x, y, *, key):
            return life + jr.normal(key, life.shape, life.dtype), life[None]

    learner = Noisy(*jax.tree.leaves(leaky()))
    outputs = lifetime(learner, lived(getkey), key=getkey()).outputs[:, 0]
    steps = np.diff(np.asarray(outputs), axis=0)
    assert len(np.unique(steps.round(9))) == steps.size


def test_a_stream_without_moments_is_told(x64, getkey):
    episode = lived(getkey)
    empty = jax.tree.map(lambda leaf: leaf[:0], episode.stream)
    with pytest.raises(UsageError, match="no moments"):
        live(leaky(), eqx.tree_at(lambda own: own.stream, episode, empty), key=getkey())


def test_a_life_that_changes_its_form_cannot_be_scanned(x64, getkey):
    class Growing(Leaky):
        def step(self, life, x, y, *, key):
            return jnp.concatenate([life, life]), life[None]

    with pytest.raises(TypeError):
        live(Growing(*jax.tree.leaves(leaky())), lived(getkey), key=getkey())


def test_detached_changes_derivatives_alone(x64, getkey):
    before, after = jnp.asarray([1.0, 2.0]), jnp.asarray([0.1, 1e20])

    def value(before, after):
        return pass_through(before, after)

    assert bool((value(before, after) == after).all())  # without a rounding error
    assert np.allclose(jax.jacobian(value, 0)(before, after), np.eye(2))
    assert np.allclose(jax.jacobian(value, 1)(before, after), 0)
    assert bool((pass_through(jnp.asarray([1]), jnp.asarray([7])) == 7).all())
    assert isinstance(leaky().detached(), Detached)


def test_the_toy_of_these_tests_conforms():
    with jax.enable_x64(True):
        learner = leaky(size=5)
    from metaplastic.testing._episodes import Recall

    findings = check_learner(learner, task=Recall())
    assert not [own for own in findings if own.status == "failed"]
