"""A network trained from one stored start, with a strength of decay for every weight."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import UsageError
from .._types import Key
from ..models import AbstractNetwork, ActivationName, InitialiserName, weights
from ..models.normalisation import NormMode
from ..rules.base import AbstractRule
from ..tasks.base import AbstractTask
from ..tasks.criteria import Criterion
from ._network import lifetime_network
from ._strengths import Convention, LearnedStrengths, make_strengths, to_half_sum
from ._synaptic import AbstractSynapticLearner, settled_parts, without_weights
from .bilevel import Fast
from .solver import Solver


class WeightDecay(AbstractSynapticLearner):
    """phi* = argmin l_train(phi) + 1/2 sum_i lambda_i phi_i^2,  phi starts at the same draw always.

    Meta-parameter: `strength` alone. Its contrastive estimate needs no data once the phases are
    done: dL/dlambda_i = (phi+_i^2 - phi-_i^2) / (4 beta). Zucchet et al. (2022), "A contrastive
    rule for meta-learning", section 5.2; Lorraine, Vicol & Duvenaud (2020).
    """

    strength: Any
    origin: Key
    """Draws the start; not learned."""
    network: AbstractNetwork
    rule: AbstractRule
    state: Any
    rate: Any
    solver: Solver
    criterion: Criterion = eqx.field(static=True)
    log: bool = eqx.field(static=True)
    build: Any = eqx.field(static=True)
    """From a key to the network."""

    def start(self, *, key: Key) -> Fast:
        del key
        return weights(self.build(self.origin))

    def attractor(self, fast: Fast) -> Fast:
        return jax.tree.map(jnp.zeros_like, fast)


class _Build(eqx.Module):
    """A function from a key to a network, equal to another one with the same options."""

    model: str = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    options: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __call__(self, key: Key) -> AbstractNetwork:
        return lifetime_network(self.model, self.shape, self.outputs, dict(self.options))(key)


def weight_decay(
    task: AbstractTask,
    *,
    rule: AbstractRule,
    model: str = "mlp",
    hidden: Sequence[int] | None = None,
    filters: Sequence[int] | None = None,
    activation: ActivationName | None = None,
    bias: bool | None = True,
    norm: NormMode | None = None,
    initialiser: InitialiserName | None = None,
    strength: float = 1e-4,
    strengths: LearnedStrengths = "synapse",
    log: bool = True,
    convention: Convention = "half",
    optimiser: str = "adam",
    rate: float = 1e-3,
    steps: int = 500,
    batch: int | None = None,
    until: float | None = None,
    newton: int = 0,
    key: Key,
) -> WeightDecay:
    """A network whose decay of each weight is learned from how it does on other data.

    Args:
        task: What it is to learn.
        rule: What the weights descend: backprop (the gradient), or a rule with fixed feedback.
        model: A name of `metaplastic list models`, or your own file.py:function.
        hidden: Widths of the hidden layers; where not given 40 and 40 in an mlp, else its own.
        filters: Filters of the convolutions; the network's own where it is not given.
        activation: Activation of the hidden layers; the network's own where it is not given.
        bias: Biases, each with a strength too.
        norm: Normalisation; the network's own where it is not given.
        initialiser: Distribution of the initial weights.
        strength: lambda at the start, in the given convention.
        strengths: Who has a learned strength: all together, a tensor, a synapse.
        log: Learn the logarithm of a strength, which keeps it positive.
        convention: How the strength is meant: 1/2 sum, sum, mean or 1/2 mean of lambda phi^2.
        optimiser: Of a phase: sgd, momentum, nesterov, adam, rmsprop, bfgs, or a name of optax.
        rate: Its learning rate.
        steps: Its steps in the free phase.
        batch: Examples drawn for every step; all of them where it is not given.
        until: Stop where no entry of the slope is larger; fixed steps where it is not given.
        newton: Newton steps with the dense Hessian at the end of every phase.
        key: Draws the start of the weights and what the rule carries.
    """
    if strengths == "fixed":
        raise UsageError(
            "--learner.strengths fixed: strengths are all that weight_decay learns, say global, "
            "tensor or synapse"
        )
    model_key, rule_key = jax.random.split(key)
    options = {
        "hidden": None if hidden is None else tuple(hidden),
        "filters": None if filters is None else tuple(filters),
        "activation": activation,
        "bias": bias,
        "norm": norm,
        "initialiser": initialiser,
    }
    build = _Build(model, task.input_shape, task.outputs, tuple(options.items()))
    made = build(model_key)
    own = weights(made)
    count = sum(leaf.size for leaf in jax.tree.leaves(own))
    return WeightDecay(
        strength=make_strengths(to_half_sum(strength, convention, count), strengths, own, log=log),
        origin=model_key,
        network=without_weights(made),
        rate=rate,
        solver=Solver(optimiser, steps, batch, until, newton),
        log=log,
        build=build,
        **settled_parts(made, rule, task, key=rule_key),
    )
