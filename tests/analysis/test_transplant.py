"""Learned arrays in another learner: what fits, what does not, and what was never learned."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.analysis.transplant import free_paths, transplant


class Toy(eqx.Module):
    """Arrays at paths like those of a learner."""

    rate: jax.Array
    layers: list[jax.Array]
    feedback: jax.Array | None = None
    moments: int = eqx.field(static=True, default=1)
    count: jax.Array | None = None


def toy(value, *shapes, **options):
    layers = [jnp.full(shape, float(value)) for shape in shapes]
    return Toy(jnp.asarray(float(value)), layers, **options)


def test_what_agrees_is_copied_and_options_are_the_targets():
    source = toy(1, (2, 3), (3,), count=jnp.array(7))
    target = toy(5, (2, 3), (3,), moments=4, count=jnp.array(9))
    moved = transplant(source, target)
    assert moved.copied == ("rate", "layers.0", "layers.1") and not moved.anew + moved.dropped
    assert moved.learner.moments == 4 and moved.learner.count == 9
    for a, b in zip(moved.learner.layers, source.layers, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (toy(5, (2, 4)), r"layers.0 was learned with shape \(2, 3\), the other learner's has"),
        (toy(5, (2, 3), (1,)), r"layers.1 of shape \(1,\) is not among what was learned"),
        (toy(5), r"layers.0 is learned, with shape \(2, 3\), and has no place"),
    ],
)
def test_a_mismatch_is_one_sentence_or_drawn_anew(target, message):
    source = toy(1, (2, 3))
    with pytest.raises(UsageError, match=f"{message}.*--fresh layers.") as caught:
        transplant(source, target)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="--fresh layer: neither learner has an array"):
        transplant(source, target, fresh=("layer",))
    moved = transplant(source, target, fresh=("layers",))
    assert "rate" in moved.copied and moved.learner.rate == 1
    for path in moved.anew:
        assert (moved.learner.layers[int(path[-1])] == 5).all()


def test_paths_that_hold_nothing_learned_are_free():
    source = toy(1, (2, 3), (3, 1), feedback=jnp.ones(3))
    wider = toy(5, (2, 4), (4, 4), (4, 1), feedback=jnp.ones(4))
    weights = {"layers.0", "layers.1"}
    assert set(free_paths(source, wider, weights.intersection)) == {*weights, "layers.2"}
    # One of the layers was learned, so that a third one has something to know from it.
    some = {"layers.0", "feedback"}
    assert set(free_paths(source, wider, some.intersection)) == some
    assert free_paths(source, source, weights.intersection) == ()
