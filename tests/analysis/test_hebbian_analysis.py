"""Analyses of plastic networks, on networks whose answer is known."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.hebbian import (
    completion_roles,
    label_roles,
    negative_units,
    sign_law,
    watch,
)
from metaplastic.learners.hebbian import hebbian
from metaplastic.learners.lifetime import lifetime
from metaplastic.tasks.one_shot import OneShot


def test_roles():
    w = np.where(np.eye(4), 3.0, -0.5) * np.array([1.0, 2.0])[:, None, None]
    found = completion_roles(w, -2 * w)
    np.testing.assert_allclose(found["diagonal w"], [3, 6])
    np.testing.assert_allclose(found["off-diagonal |w|"], [0.5, 1])
    np.testing.assert_allclose(found["off-diagonal alpha"], [1, 2])
    np.testing.assert_allclose(found["diagonal |alpha|"], [6, 12])
    w = np.concatenate([np.full((2, 3), -7.0), np.full((5, 3), 0.1)])
    found = label_roles(w, w / 7)
    assert [round(float(own), 6) for own in found.values()] == [7.0, 0.1, 1.0, round(0.1 / 7, 6)]
    with pytest.raises(UsageError, match="label_roles"):
        completion_roles(w, w)


def test_sign_law_counts_units_by_their_pattern_inputs():
    alpha = np.ones((4, 10, 2))
    alpha[:, :2] = -9  # labels do not count
    alpha[1, 2:7, 0] = -1  # five of eight: negative
    alpha[2, 2:6, 0] = -1  # four of eight: not most
    alpha[3, 2:] = -1
    assert negative_units(alpha).tolist() == [0, 1, 0, 2]
    law = sign_law(alpha, np.array([0.7, 1.0, 0.6, 1.0]))
    assert law[0] == {"seeds": 2, "solved": 0.0, "accuracy": pytest.approx(0.65)}
    assert law[1]["solved"] == law[2]["solved"] == 1 and law[2]["seeds"] == 1
    with pytest.raises(UsageError, match="one accuracy a seed"):
        sign_law(alpha, np.ones(3))


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.slow
def test_imprints_shrink_with_negative_and_grow_with_positive_coefficients(sign, getkey):
    """Two opposite patterns, a unit driven by the first label alone, and no forgetting to speak of.

    The second presentation and all later ones drive the unit by alpha * imprint: with the sign of
    the imprint where alpha is positive, against it where it is negative.
    """
    task = OneShot(variant="released")
    learner = hebbian(task, hidden=(1,), readout="dense", eta=0.02, key=getkey())
    weight = jnp.zeros((10, 1)).at[0].set(3.0)
    alpha = jnp.zeros((10, 1)).at[2:].set(sign)
    learner = eqx.tree_at(
        lambda own: (own.layers[0].weight, own.layers[0].plasticity.alpha, own.layers[0].bias),
        learner,
        (weight, alpha, jnp.zeros(1)),
    )
    pattern = jnp.ones(8)
    episode = task.episode(jnp.stack([pattern, -pattern]), jnp.arange(20, dtype=jnp.int32) % 2)
    seen = watch(learner, episode)
    imprint = seen["imprint"][2::2, 0]
    assert imprint[0] > 0
    change = np.diff(imprint)
    assert (change > 0).all() if sign > 0 else (change < 0).all()
    np.testing.assert_allclose(seen["drive"][2:], sign * seen["imprint"][2:], rtol=1e-5)
    np.testing.assert_allclose(seen["activity"][2:], np.tanh(seen["drive"][2:]), rtol=1e-5)


def test_watching_is_living(getkey):
    task = OneShot()
    learner, episode = hebbian(task, hidden=(3, 4), key=getkey()), task.sample(getkey())
    lived = lifetime(learner, episode, key=getkey())
    for layer in (0, 1):
        seen = watch(learner, episode, layer)
        np.testing.assert_allclose(seen["output"], lived.outputs[:, 0], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(seen["trace"][-1], lived.life[layer].trace, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(
            seen["norm"], np.sqrt((seen["trace"] ** 2).sum((1, 2))), rtol=1e-5
        )
    with pytest.raises(UsageError, match="not plastic"):
        watch(hebbian(task, plastic=False, key=getkey()), episode)
