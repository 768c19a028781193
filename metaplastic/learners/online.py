"""A network that any learning rule trains on-line; what its lifetimes start from is learned.

MAML, OML, ANIL, BOIL, feedback + local plasticity and meta-learned feedback are compositions
of this learner with a rule, a choice of layers, and a meta-gradient.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from .._errors import UsageError, require_not_negative
from .._types import Key
from ..models import (
    AbstractNetwork,
    ActivationName,
    InitialiserName,
    absorb_statistics,
    plastic_layers,
    split,
    weights,
    with_layers,
    zero_updates,
)
from ..rules.base import AbstractRule
from ..tasks.base import AbstractTask
from ._copies import own_copy
from ._network import lifetime_network
from ._start import Start, born
from .base import AbstractLearner

Rates = Literal["fixed", "global", "tensor", "synapse"]
_PLAIN = optax.identity()  # one object, so that two learners are of one structure


class OnlineLife(eqx.Module):
    """Fast state of a network that learns: its weights, and what rule and optimiser carry."""

    model: Any
    rule: Any
    optimiser: Any


class OnlineLearner(AbstractLearner):
    """W <- W - rate * optimiser(rule's update), at every moment that is told its y.

    Meta-parameters: `model` (the initial weights), `state` (what the rule starts with: feedback
    weights, plasticity coefficients), arrays of the `rule` itself, and `rate` where it is learned.
    """

    model: AbstractNetwork
    rule: AbstractRule
    state: Any
    """What the rule carries at the start of a lifetime, for the layers that are not frozen."""
    rate: Any
    """Learning rate: a number (fixed), or arrays that are learned: one for all (`global`), one a
    tensor, one a synapse (a tree shaped like the weights)."""
    optimiser: optax.GradientTransformation = eqx.field(static=True)
    frozen: int = eqx.field(static=True)
    """The first so many plastic layers do not change within a lifetime."""
    frozen_head: int = eqx.field(static=True)
    """The last so many plastic layers do not change within a lifetime."""
    start: Start = eqx.field(static=True)
    """Weights at birth: the learned ones; a new draw of the output layer's, or of every layer's
    that is not frozen; or zeros. Biases start at zero in the last two."""
    redraw: InitialiserName = eqx.field(static=True)
    """Distribution of weights that every lifetime draws anew."""
    first_order: bool = eqx.field(static=True)
    """Treat the rule's updates as constants when differentiating."""

    def __init__(
        self,
        model: AbstractNetwork,
        rule: AbstractRule,
        optimiser: optax.GradientTransformation | None = None,
        *,
        rate: float = 0.01,
        rates: Rates = "fixed",
        frozen: int = 0,
        frozen_head: int = 0,
        start: Start = "learned",
        redraw: InitialiserName = "he_normal",
        key: Key,
    ):
        """`key` draws what the rule starts with. Raises `UsageError` where no layer is left."""
        total = len(plastic_layers(model))
        for name, value in {"frozen": frozen, "frozen-head": frozen_head}.items():
            require_not_negative(f"--learner.{name}", value)
        if frozen + frozen_head >= total:
            raise UsageError(
                f"--learner.frozen {frozen} and --learner.frozen-head {frozen_head} leave none of "
                f"the {total} layers to learn: freeze fewer"
            )
        require_not_negative("--learner.rate", rate)
        self.model, self.rule = model, rule
        self.optimiser = _PLAIN if optimiser is None else optimiser
        self.frozen, self.frozen_head, self.first_order = frozen, frozen_head, False
        self.start, self.redraw = start, redraw
        back = split(model, frozen)[1]
        self.state = rule.init(back, key=key)
        self.rate = _rates(back, rate, rates)

    def perceive(self, x: jax.Array) -> jax.Array:
        front = split(self.model, self.frozen)[0]
        return x if front is None else front(x)

    def birth(self, *, key: Key) -> OnlineLife:
        back = born(split(self.model, self.frozen)[1], self.start, self.redraw, key=key)
        rule_key = jax.random.fold_in(key, len(plastic_layers(back)))  # apart from the weights'
        state = self.rule.reborn(back, own_copy(self.state, key=key), key=rule_key)
        return OnlineLife(eqx.filter(back, eqx.is_array), state, self.optimiser.init(weights(back)))

    def step(
        self, life: OnlineLife, x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[OnlineLife, jax.Array]:
        if y is None:
            return life, self.predict(life, x)
        before = self.network(life)
        # Rules that need one rate for all say so where there is none.
        signals = {} if isinstance(self.rate, AbstractNetwork) else {"learning_rate": self.rate}
        updates, state, aux = self.rule.updates(before, life.rule, x, y, key=key, **signals)
        updates = self._only_plastic(updates)
        if self.first_order:
            updates = jax.lax.stop_gradient(updates)
        steps, optimiser = self.optimiser.update(updates, life.optimiser, weights(before))
        after = eqx.apply_updates(before, self._scaled(steps))
        after = absorb_statistics(after, aux.statistics)
        after, state = self.rule.after_step(before, after, state)
        return OnlineLife(eqx.filter(after, eqx.is_array), state, optimiser), aux.output

    def predict(self, life: OnlineLife, x: jax.Array) -> jax.Array:
        return self.rule.predict(self.network(life), life.rule, x)

    def detached(self) -> "OnlineLearner":
        """Updates of the rule are constants; learned rates and initial weights are not."""
        own = jax.tree.map(lambda leaf: leaf, self)
        object.__setattr__(own, "first_order", True)  # of the copy; static, so no leaf of the tree
        return own

    def inherit(self, life: OnlineLife) -> "OnlineLearner":
        if self.start != "learned":
            raise UsageError(
                f"--learner.start {self.start} draws weights anew in every lifetime, so that none "
                "are handed on: use another estimator, such as unrolled"
            )
        front, back = split(self.model, self.frozen)
        after = eqx.combine(life.model, eqx.filter(back, eqx.is_array, inverse=True))
        layers = (
            plastic_layers(after)
            if front is None
            else [*plastic_layers(front), *plastic_layers(after)]
        )
        return eqx.tree_at(lambda own: own.model, self, with_layers(self.model, layers))

    def network(self, life: OnlineLife) -> AbstractNetwork:
        """The layers that are not frozen, with the weights that they have at this moment."""
        back = split(self.model, self.frozen)[1]
        return eqx.combine(life.model, eqx.filter(back, eqx.is_array, inverse=True))

    def _only_plastic(self, updates: Any) -> Any:
        if not self.frozen_head:
            return updates
        layers, still = plastic_layers(updates), plastic_layers(zero_updates(updates))
        kept = len(layers) - self.frozen_head
        return with_layers(updates, [*layers[:kept], *still[kept:]])

    def _scaled(self, steps: Any) -> Any:
        if isinstance(self.rate, AbstractNetwork):
            return jax.tree.map(lambda rate, step: -rate * step, self.rate, steps)
        return jax.tree.map(lambda step: -self.rate * step, steps)


def _rates(model: AbstractNetwork, rate: float, rates: Rates) -> Any:
    if rates == "fixed":
        return rate
    if rates == "global":
        return jnp.asarray(rate, plastic_layers(model)[0].weight.dtype)
    shape = jnp.shape if rates == "synapse" else lambda leaf: ()
    return jax.tree.map(lambda leaf: jnp.full(shape(leaf), rate, leaf.dtype), weights(model))


def online(
    task: AbstractTask,
    *,
    rule: AbstractRule,
    model: str = "mlp",
    hidden: Sequence[int] | None = None,
    filters: Sequence[int] | None = None,
    strided: bool | None = None,
    activation: ActivationName | None = None,
    bias: bool | None = True,
    initialiser: InitialiserName | None = None,
    rate: float = 0.01,
    rates: Rates = "fixed",
    frozen: int = 0,
    frozen_head: int = 0,
    start: Start = "learned",
    redraw: InitialiserName = "he_normal",
    key: Key,
) -> OnlineLearner:
    """A network of the registry, trained within its lifetime by `rule` under the task's loss.

    Args:
        task: What it is to learn.
        rule: A name of `metaplastic list rules`, or your own file.py:Name.
        model: A name of `metaplastic list models`, or your own file.py:function.
        hidden: Widths of the hidden layers; where not given 40 and 40 in an mlp, else its own.
        filters: Filters of the convolutions; the network's own where it is not given.
        strided: Strides in place of pooling (conv4); the network's own where it is not given.
        activation: Activation of the hidden layers; the network's own where it is not given.
        bias: Biases, which learn too.
        initialiser: Distribution of the initial weights.
        rate: Learning rate within the lifetime; where rates are learned, their start.
        rates: Who has a rate: one fixed number, or learned ones for all, a tensor, a synapse.
        frozen: The first so many layers do not change within a lifetime (ANIL, OML).
        frozen_head: The last so many layers do not change within a lifetime (BOIL).
        start: Weights at birth: learned, or in every lifetime a fresh head, all fresh, or zero.
        redraw: Distribution of weights that are fresh in every lifetime.
        key: Draws the initial weights and what the rule starts with.
    """
    model_key, rule_key = jax.random.split(key)
    options = {
        "hidden": hidden,
        "filters": filters,
        "strided": strided,
        "activation": activation,
        "bias": bias,
        "initialiser": initialiser,
    }
    rule = with_loss(rule, task)
    shape = rule.input_shape(task.input_shape, task.outputs)
    return OnlineLearner(
        lifetime_network(model, shape, task.outputs, options)(model_key),
        rule,
        rate=rate,
        rates=rates,
        frozen=frozen,
        frozen_head=frozen_head,
        start=start,
        redraw=redraw,
        key=rule_key,
    )


def with_loss(rule: AbstractRule, task: AbstractTask) -> AbstractRule:
    """The rule with the loss of the task, which is what its output's error comes from.

    Raises `UsageError` for a task whose targets are known in part alone.
    """
    criterion = task.criterion.whole(f"--rule {type(rule).__name__}")
    return dataclasses.replace(rule, loss=criterion.rule_loss)
