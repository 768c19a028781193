import jax
import jax.numpy as jnp
import pytest
from helpers import assert_close, trace

from metaplastic.models import mlp, pepita_conv


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_rate_and_scale(rate, getkey):
    model = mlp((3,), 2, hidden=(101,), dropout=rate, key=getkey())
    own = trace(model, jnp.ones((500, 3)), key=getkey())
    mask = own.layers[0].mask
    assert mask.shape == (500, 101)
    assert jnp.allclose(jnp.unique(mask), jnp.array([0, 1 / (1 - rate)]))
    assert abs(float((mask == 0).mean()) - rate) < 0.01
    # Neighbours, which may share a random word, fall independently.
    dropped = mask == 0
    for shift in (1, 50, 51):
        both = float((dropped[:, :-shift] & dropped[:, shift:]).mean())
        assert abs(both - rate**2) < 0.015
    assert abs(float((dropped[:250] & dropped[250:]).mean()) - rate**2) < 0.015
    assert_close(own.layers[0].post, jax.nn.relu(own.layers[0].drive) * mask, 0)
    assert own.layers[1].mask is None


def test_masks_come_from_the_key_or_from_an_earlier_pass(getkey):
    model = pepita_conv((11, 10, 2), 3, filters=(4, 5), kernel=3, dropout=0.5, key=getkey())
    x, key = jax.random.normal(getkey(), (4, 11, 10, 2)), getkey()
    first, again, other = (trace(model, x, key=k) for k in (key, key, getkey()))
    reused = trace(model, 2 * x, masks=first)
    for index in (0, 1):
        mask = first.layers[index].mask
        assert (again.layers[index].mask == mask).all()
        assert (reused.layers[index].mask == mask).all()
        assert (other.layers[index].mask != mask).any()
    assert (first.layers[0].mask[:, :4, :4, :4] != 0).mean() < 1


def test_layers_draw_masks_of_their_own(getkey):
    model = mlp((3,), 2, hidden=(50, 50), dropout=0.5, key=getkey())
    first, second, _ = model.trace(jnp.ones((20, 3)), key=getkey()).layers
    assert abs(float((first.mask == second.mask).mean()) - 0.5) < 0.08


def test_evaluation_drops_nothing(getkey):
    model = mlp((3,), 2, hidden=(50,), dropout=0.5, key=getkey())
    x = jax.random.normal(getkey(), (5, 3))
    w1, w2 = (layer.weight for layer in model.nodes[1:])
    assert_close(model(x), jax.nn.relu(x @ w1) @ w2, 1e-6)


def test_training_needs_a_key(getkey):
    model = mlp((3,), 2, hidden=(5,), dropout=0.5, key=getkey())
    with pytest.raises(ValueError, match=r"dropout=0\.5 needs a key"):
        model.trace(jnp.ones((1, 3)))
    mlp((3,), 2, hidden=(5,), key=getkey()).trace(jnp.ones((1, 3)))
