"""Networks all of whose synapses settle, each drawn to an attractor of its own."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax

from .._errors import UsageError
from .._types import Key, Scalar
from ..models import AbstractNetwork, is_weight, weights
from ..rules.backprop import Backprop
from ..rules.base import AbstractRule
from ..tasks.base import AbstractTask
from ._strengths import not_negative, penalty, strength_tree
from .bilevel import AbstractBilevelLearner, Fast
from .solver import Batch


class AbstractSynapticLearner(AbstractBilevelLearner):
    """L_learn = l(phi) + 1/2 sum_i lambda_i (phi_i - attractor_i)^2,  phi all weights."""

    strength: eqx.AbstractVar[Any]
    log: eqx.AbstractVar[bool]
    network: eqx.AbstractVar[AbstractNetwork]
    """Everything of the network but its weights."""
    rule: eqx.AbstractVar[AbstractRule]
    state: eqx.AbstractVar[Any]

    @property
    def slope_is_gradient(self) -> bool:
        return isinstance(self.rule, Backprop)

    @abc.abstractmethod
    def attractor(self, fast: Fast) -> Fast:
        """What each synapse is drawn to, shaped like `fast`."""

    def answer(self, fast: Fast, x: jax.Array) -> jax.Array:
        return eqx.combine(fast, self.network)(x)

    def penalty(self, fast: Fast) -> Scalar:
        """1/2 sum_i lambda_i (phi_i - attractor_i)^2."""
        strength = strength_tree(self.strength, fast, log=self.log)
        return penalty(fast, self.attractor(fast), strength)

    def learn_loss(self, fast: Fast, batch: Batch) -> Scalar:
        return self.eval_loss(fast, batch) + self.penalty(fast)

    def learn_slope(self, fast: Fast, batch: Batch, *, key: Key) -> Fast:
        if self.slope_is_gradient:
            return jax.grad(self.learn_loss)(fast, batch)
        slope = self.eval_slope(fast, batch, key=key)
        return jax.tree.map(lambda a, b: a + b, slope, jax.grad(self.penalty)(fast))

    def eval_slope(self, fast: Fast, batch: Batch, *, key: Key) -> Fast:
        """By the rule, in the scale of the task's loss."""
        if self.slope_is_gradient:
            return jax.grad(self.eval_loss)(fast, batch)
        model = eqx.combine(fast, self.network)
        updates = self.rule.updates(model, self.state, batch.x, batch.y, key=key)[0]
        factor = self.criterion.rule_factor(batch.y.shape[-1])
        return jax.tree.map(lambda own: factor * own, updates)

    def constrained(self) -> "AbstractSynapticLearner":
        return dataclasses.replace(self, strength=not_negative(self.strength, log=self.log))


def settled_parts(
    model: AbstractNetwork, rule: AbstractRule, task: AbstractTask, *, key: Key
) -> dict[str, Any]:
    """The fields that every such learner takes from its network, rule and task.

    Raises `UsageError` for a rule that changes what it carries from step to step.
    """
    rule = dataclasses.replace(rule, loss=task.criterion.rule_loss)
    state = rule.init(model, key=key)
    if not isinstance(rule, Backprop):
        task.criterion.whole(f"--rule {type(rule).__name__}")
        _require_constant(rule, model, state, task)
    return {"rule": rule, "state": state, "criterion": task.criterion}


def without_weights(model: AbstractNetwork) -> AbstractNetwork:
    """Everything of a network but the arrays that learn; `eqx.combine` puts them back."""
    return eqx.filter(model, is_weight(model), inverse=True)


def _require_constant(
    rule: AbstractRule, model: AbstractNetwork, state: Any, task: AbstractTask
) -> None:
    """A phase that settles needs one landscape: what the rule carries must stay as it is."""
    shapes = jax.ShapeDtypeStruct((2, *task.input_shape), _dtype(model))
    targets = jax.ShapeDtypeStruct((2, task.outputs), _dtype(model))
    same: list[bool] = []

    def probe(model: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        after = rule.updates(model, state, x, y, key=jax.random.key(0))[1]
        same.append(
            all(a is b for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True))
        )
        return after

    eqx.filter_eval_shape(probe, model, state, shapes, targets)
    if not all(same) or type(rule).after_step is not AbstractRule.after_step:
        raise UsageError(
            f"--rule {type(rule).__name__}: it changes its own state at every step, so that no "
            "phase settles: use backprop, feedback_alignment or direct_feedback_alignment"
        )


def _dtype(model: AbstractNetwork) -> Any:
    return jax.tree.leaves(weights(model))[0].dtype
