"""Synapses that are drawn back to a consolidated weight, each with a strength of its own."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax

from .._types import Key
from ..models import AbstractNetwork, ActivationName, InitialiserName, weights
from ..models.normalisation import NormMode
from ..rules.base import AbstractRule
from ..tasks.base import AbstractTask
from ..tasks.criteria import Criterion
from ._network import lifetime_network
from ._strengths import Convention, Strengths, make_strengths, to_half_sum
from ._synaptic import AbstractSynapticLearner, settled_parts, without_weights
from .base import AbstractLearner
from .bilevel import BilevelLife, Fast
from .solver import Solver


class ComplexSynapse(AbstractSynapticLearner):
    """phi* = argmin l_support(phi) + 1/2 sum_i lambda_i (phi_i - omega_i)^2,  phi starts at omega.

    Meta-parameters: `consolidated` (omega) and, where they are learned, `strength` (lambda or
    log lambda). What meta-learning needs of a synapse is at that synapse: with settled phases phi
    at nudging beta and -beta the contrastive estimate of the descent direction is

        omega_i:   lambda_i (phi+_i - phi-_i) / (2 beta)
        lambda_i:  -[(phi+_i - omega_i)^2 - (phi-_i - omega_i)^2] / (4 beta)

    Zucchet, Schug, von Oswald, Zhao & Sacramento (2022), "A contrastive rule for meta-learning",
    sections 2 and 3.
    """

    consolidated: Any
    """omega, shaped like the weights of the network."""
    strength: Any
    network: AbstractNetwork
    rule: AbstractRule
    state: Any
    rate: Any
    solver: Solver
    criterion: Criterion = eqx.field(static=True)
    log: bool = eqx.field(static=True)
    """Is the logarithm of lambda stored?"""

    @property
    def forgotten(self) -> str | None:
        fixed = isinstance(self.strength, float | int)
        return (
            "--learner.strength 0: nothing draws the weights"
            if fixed and not self.strength
            else None
        )

    def start(self, *, key: Key) -> Fast:
        del key
        return self.consolidated

    def attractor(self, fast: Fast) -> Fast:
        del fast
        return self.consolidated

    def inherit(self, life: BilevelLife) -> AbstractLearner:
        return eqx.tree_at(lambda own: own.consolidated, self, life.fast)


def complex_synapse(
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
    strength: float = 0.1,
    strengths: Strengths = "fixed",
    log: bool = True,
    convention: Convention = "half",
    optimiser: str = "adam",
    rate: float = 0.003,
    steps: int = 100,
    batch: int | None = None,
    until: float | None = None,
    newton: int = 0,
    key: Key,
) -> ComplexSynapse:
    """A network whose weights settle on the examples of a lifetime, drawn to consolidated ones.

    Args:
        task: What it is to learn.
        rule: What the weights descend in a phase: backprop (the gradient), or a rule with feedback
            weights that stay as they are.
        model: A name of `metaplastic list models`, or your own file.py:function.
        hidden: Widths of the hidden layers; where not given 40 and 40 in an mlp, else its own.
        filters: Filters of the convolutions; the network's own where it is not given.
        activation: Activation of the hidden layers; the network's own where it is not given.
        bias: Biases, which settle too.
        norm: Normalisation; the network's own where it is not given.
        initialiser: Distribution of the initial consolidated weights.
        strength: lambda at the start, in the given convention.
        strengths: Who has a strength: one fixed number, or learned ones for all, a tensor, a
            synapse.
        log: Learn the logarithm of a strength, which keeps it positive.
        convention: How the strength is meant: 1/2 sum, sum, mean or 1/2 mean of
            lambda (phi - omega)^2 over the synapses.
        optimiser: Of a phase: sgd, momentum, nesterov, adam, rmsprop, bfgs, or a name of optax.
        rate: Its learning rate.
        steps: Its steps in the free phase.
        batch: Examples drawn for every step; all of them where it is not given.
        until: Stop where no entry of the slope is larger; fixed steps where it is not given.
        newton: Newton steps with the dense Hessian at the end of every phase.
        key: Draws the initial weights and what the rule carries.
    """
    model_key, rule_key = jax.random.split(key)
    options = {
        "hidden": hidden,
        "filters": filters,
        "activation": activation,
        "bias": bias,
        "norm": norm,
        "initialiser": initialiser,
    }
    made = lifetime_network(model, task.input_shape, task.outputs, options)(model_key)
    own = weights(made)
    count = sum(leaf.size for leaf in jax.tree.leaves(own))
    value = to_half_sum(strength, convention, count)
    log = log and strengths != "fixed"
    return ComplexSynapse(
        consolidated=own,
        strength=make_strengths(value, strengths, own, log=log),
        network=without_weights(made),
        rate=rate,
        solver=Solver(optimiser, steps, batch, until, newton),
        log=log,
        **settled_parts(made, rule, task, key=rule_key),
    )
