"""Every learner refuses negative numbers where they have no meaning, in one sentence."""

import inspect
import typing
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import pytest

from metaplastic import _registry
from metaplastic._errors import UsageError
from metaplastic.learners.online import OnlineLearner
from metaplastic.models import mlp
from metaplastic.rules.backprop import Backprop
from metaplastic.testing._episodes import SMALL

CURVES, IMAGES = SMALL[0], SMALL[-1]

SIGNED = {
    ("blur", "draw"): -1,  # a seed
    ("blur", "synapse_rate"): -0.1,  # the start of a rate that is learned with its sign
    ("fast_weights", "eta"): -0.5,  # anti-Hebbian
    ("hebb_ff", "eta"): -0.5,
    ("lstm", "forget_bias"): -1.0,
}


def negative(hint: Any) -> Any:
    """-1 as the option would have it; None where it holds no numbers."""
    words = str(hint)
    if "int" not in words and "float" not in words:
        return None
    if "Sequence" in words or "tuple" in words:
        return (-1, -1, -1)
    return -1.0 if "float" in words or hint is float else -1


def options(name: str) -> dict[str, Any]:
    """-1 for each option of a learner that holds numbers."""
    hints = typing.get_type_hints(_registry.load("learners", name))
    given = {option: negative(hint) for option, hint in hints.items() if option != "return"}
    return {option: value for option, value in given.items() if value is not None}


NUMBERS = [
    (name, option, value)
    for name in _registry.names("learners")
    for option, value in options(name).items()
]


def build(name: str, **fields: Any) -> Any:
    """A learner of shapes alone; convolutions where filters are given."""
    builder = _registry.load("learners", name)
    known = inspect.signature(builder).parameters
    if "rule" in known:
        fields["rule"] = Backprop()
    convolves = name == "hebbian_readout" or "filters" in fields
    if convolves and "model" in known:
        fields["model"] = "conv4"
    task = IMAGES if convolves else CURVES
    return eqx.filter_eval_shape(lambda key: builder(task, **fields, key=key), jr.key(0))


@pytest.mark.parametrize(
    ("name", "option", "value"), [own for own in NUMBERS if own[:2] not in SIGNED]
)
def test_negative_numbers_are_refused(name, option, value):
    with pytest.raises(UsageError) as caught:
        build(name, **{option: value})
    sentence = str(caught.value)
    assert f"--learner.{option.replace('_', '-')}" in sentence and "-1" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(("name", "option"), SIGNED)
def test_numbers_that_have_a_sign_are_taken(name, option):
    build(name, **{option: SIGNED[name, option]})


def test_a_rate_that_is_an_array_passes(getkey):
    rate, model = jnp.asarray(-0.1), mlp((1,), 1, hidden=(2,), key=getkey())
    assert OnlineLearner(model, Backprop(), rate=rate, key=getkey()).rate is rate
