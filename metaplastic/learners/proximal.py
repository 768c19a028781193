"""Weights that settle close to a learned initialisation: the proximal learner of iMAML."""

from collections.abc import Sequence

from .._types import Key
from ..models import ActivationName, InitialiserName
from ..models.normalisation import NormMode
from ..rules.base import AbstractRule
from ..tasks.base import AbstractTask
from ._strengths import Convention
from .complex_synapse import ComplexSynapse, complex_synapse


def proximal(
    task: AbstractTask,
    *,
    rule: AbstractRule,
    model: str = "mlp",
    hidden: Sequence[int] | None = None,
    filters: Sequence[int] | None = None,
    activation: ActivationName | None = None,
    norm: NormMode | None = None,
    initialiser: InitialiserName | None = None,
    strength: float = 2.0,
    convention: Convention = "half",
    optimiser: str = "adam",
    rate: float = 0.003,
    steps: int = 50,
    key: Key,
) -> ComplexSynapse:
    """phi* = argmin l_support(phi) + lambda/2 |phi - theta|^2: complex synapses of one fixed
    strength, whose consolidated weights theta alone are learned.

    With `--estimator implicit` and 5 steps of conjugate gradients this is the algorithm of
    Rajeswaran, Finn, Kakade & Levine (2019), "Meta-learning with implicit gradients", section 3.

    Args:
        task: What it is to learn.
        rule: What the weights descend: backprop (the gradient), or a rule with fixed feedback.
        model: A name of `metaplastic list models`, or your own file.py:function.
        hidden: Widths of the hidden layers; where not given 40 and 40 in an mlp, else its own.
        filters: Filters of the convolutions; the network's own where it is not given.
        activation: Activation of the hidden layers; the network's own where it is not given.
        norm: Normalisation; the network's own where it is not given.
        initialiser: Distribution of the initial weights.
        strength: lambda of the proximal term.
        convention: How it is meant: 1/2 sum, sum, mean or 1/2 mean of lambda (phi - theta)^2.
        optimiser: Of a phase: sgd, momentum, nesterov, adam, rmsprop, bfgs, or a name of optax.
        rate: Its learning rate.
        steps: Its steps.
        key: Draws the initial weights.
    """
    return complex_synapse(
        task,
        rule=rule,
        model=model,
        hidden=hidden,
        filters=filters,
        activation=activation,
        norm=norm,
        initialiser=initialiser,
        strength=strength,
        convention=convention,
        optimiser=optimiser,
        rate=rate,
        steps=steps,
        key=key,
    )
