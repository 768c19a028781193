"""Lesions of feedback + local plasticity: the learner without one of its parts, to see its role.

Each function returns a changed copy of a meta-trained learner; its lifetimes are then tested like
any other's. Whether meta-learning makes up for a missing part is another question: freeze it while
meta-training (`MetaOptions.freeze`).
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..learners.online import OnlineLearner
from ..models import split
from ..rules.flp import FLP, FLPState


def without_feedback(learner: OnlineLearner) -> OnlineLearner:
    """beta = 0: units change by their own activity alone; the clamped output keeps its signal."""
    strength = tuple(jnp.zeros_like(own) for own in _state(learner).strength)
    return _changed(learner, "strength", strength)


def random_feedback(learner: OnlineLearner, *, key: Key) -> OnlineLearner:
    """Feedback drawn anew, as it was before meta-learning."""
    back = split(learner.model, learner.frozen)[1]
    _state(learner)
    return _changed(learner, "feedback", learner.rule.init(back, key=key).feedback)


def shuffled_feedback(learner: OnlineLearner, *, key: Key) -> OnlineLearner:
    """The feedback of each layer handed to its units in another order, biases with it."""

    def shuffle(path: Any, own: Key) -> Any:
        units = path.biases[-1].shape
        order = jr.permutation(own, path.biases[-1].size)
        mix = lambda array: array.reshape(-1, order.size)[:, order].reshape(-1, *units)  # noqa: E731
        last = (mix(path.weights[-1]), mix(path.biases[-1])[0])
        return eqx.tree_at(lambda p: (p.weights[-1], p.biases[-1]), path, last)

    paths = _state(learner).feedback
    keys = jr.split(key, max(len(paths), 1))
    shuffled = tuple(shuffle(path, own) for path, own in zip(paths, keys, strict=False))
    return _changed(learner, "feedback", shuffled)


def only_top(learner: OnlineLearner, layers: int) -> OnlineLearner:
    """A = 0 in all but the last so many layers."""
    plasticity = _state(learner).plasticity
    if len(plasticity) == 1 and learner.rule.granularity == "global":  # pyright: ignore[reportAttributeAccessIssue]
        raise UsageError("one plasticity coefficient for all layers cannot be cut by layers")
    if not 0 <= layers <= len(plasticity):
        raise UsageError(f"layers={layers}: this learner has {len(plasticity)} plastic layers")
    cut = len(plasticity) - layers
    still = tuple(jnp.zeros_like(own) for own in plasticity[:cut])
    return _changed(learner, "plasticity", (*still, *plasticity[cut:]))


def evened(learner: OnlineLearner) -> OnlineLearner:
    """Every synapse of a layer with the same plasticity, the mean of |A|: directions without the
    scale and sign of each synapse."""
    plasticity = _state(learner).plasticity
    even = tuple(jnp.full_like(own, jnp.abs(own).mean()) for own in plasticity)
    return _changed(learner, "plasticity", even)


def _state(learner: OnlineLearner) -> FLPState:
    if not isinstance(learner.rule, FLP):
        raise UsageError(
            f"{type(learner.rule).__name__} has neither feedback nor plasticity that are learned: "
            "lesions are for learners whose rule is flp"
        )
    return learner.state


def _changed(learner: OnlineLearner, part: str, value: Any) -> OnlineLearner:
    return eqx.tree_at(lambda own: getattr(own.state, part), learner, value)
