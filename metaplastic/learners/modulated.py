"""A slow network whose units are modulated: gains, biases and the head alone settle."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import UsageError, require_not_negative
from .._types import Key, Scalar
from ..models import AbstractLayer, AbstractNetwork, ActivationName, InitialiserName, Sequential
from ..models.base import AbstractFixedNode
from ..tasks.base import AbstractTask
from ..tasks.criteria import Criterion
from ._network import lifetime_network
from .base import AbstractLearner
from .bilevel import AbstractBilevelLearner, BilevelLife
from .solver import Batch, Solver


class Modulation(eqx.Module):
    """phi of a modulated network."""

    gains: list[jax.Array]
    """One a hidden unit (a channel, in convolutions), layer by layer."""
    biases: list[jax.Array]
    head: AbstractLayer
    """The output layer."""


class Modulated(AbstractBilevelLearner):
    """h_l = f(gain_l * (W_l h_{l-1} + c_l) + bias_l),  y = V h_L + v,  phi = {gains, biases, V, v}.

    Meta-parameters: the `body` (W_l, c_l), and the `initial` modulation (gains 1, biases 0, head as
    drawn). The contrast of the body is that of ordinary weight gradients over two experiences, its
    direct term kept. The initial modulation does not appear in L_learn, and settled phases forget
    it, so that it gets no gradient unless `anchor` > 0 adds 1/2 anchor |phi - initial|^2. Zucchet,
    Schug, von Oswald, Zhao & Sacramento (2022), "A contrastive rule for meta-learning", section 3.
    """

    body: AbstractNetwork
    """Its last plastic layer is not used: the head is."""
    initial: Modulation
    rate: Any
    anchor: float = eqx.field(static=True)
    solver: Solver
    criterion: Criterion = eqx.field(static=True)

    @property
    def forgotten(self) -> str | None:
        slow = self.initial.gains or self.anchor
        return None if slow else "--learner.hidden without a layer: there is no slow body"

    def start(self, *, key: Key) -> Modulation:
        del key
        return self.initial

    def answer(self, fast: Modulation, x: jax.Array) -> jax.Array:
        modulation = iter(zip(fast.gains, fast.biases, strict=True))
        for node in _nodes(self.body):
            if node is None:
                x = fast.head.activate(fast.head.drive(x))
            elif isinstance(node, AbstractLayer):
                gain, bias = next(modulation)
                x = node.activate(gain * node.drive(x) + bias)
            else:
                x = node.apply(x)
        return x

    def learn_loss(self, fast: Modulation, batch: Batch) -> Scalar:
        loss = self.eval_loss(fast, batch)
        if not self.anchor:
            return loss
        away = jax.tree.map(lambda a, b: jnp.sum(jnp.square(a - b)), fast, self.initial)
        return loss + 0.5 * self.anchor * sum(jax.tree.leaves(away))

    def inherit(self, life: BilevelLife) -> AbstractLearner:
        return eqx.tree_at(lambda own: own.initial, self, life.fast)


def modulated(
    task: AbstractTask,
    *,
    model: str = "mlp",
    hidden: Sequence[int] | None = None,
    filters: Sequence[int] | None = None,
    activation: ActivationName | None = "tanh",
    bias: bool | None = True,
    initialiser: InitialiserName | None = None,
    anchor: float = 0.0,
    optimiser: str = "adam",
    rate: float = 0.003,
    steps: int = 100,
    batch: int | None = None,
    until: float | None = None,
    newton: int = 0,
    key: Key,
) -> Modulated:
    """A network whose gains, biases and head settle in a lifetime, over a body that is slow.

    Args:
        task: What it is to learn.
        model: A name of `metaplastic list models`, or your own file.py:function; one layer after
            the other, without normalisation.
        hidden: Widths of the hidden layers; where not given 40 and 40 in an mlp, else its own.
        filters: Filters of the convolutions; the network's own where it is not given.
        activation: Activation of the hidden layers.
        bias: Biases: c of the body, which are slow, and v of the head, which settles.
        initialiser: Distribution of the initial weights.
        anchor: Strength by which phi is drawn to its start, without which the start is not
            learned.
        optimiser: Of a phase: sgd, momentum, nesterov, adam, rmsprop, bfgs, or a name of optax.
        rate: Its learning rate.
        steps: Its steps in the free phase.
        batch: Examples drawn for every step; all of them where it is not given.
        until: Stop where no entry of the slope is larger; fixed steps where it is not given.
        newton: Newton steps with the dense Hessian at the end of every phase.
        key: Draws the initial weights.
    """
    require_not_negative("--learner.anchor", anchor)
    options = {
        "hidden": hidden,
        "filters": filters,
        "activation": activation,
        "bias": bias,
        "initialiser": initialiser,
    }
    made = lifetime_network(model, task.input_shape, task.outputs, options)(key)
    plain = AbstractLayer | AbstractFixedNode
    if not isinstance(made, Sequential) or not all(isinstance(node, plain) for node in made.nodes):
        raise UsageError(
            f"--learner.model {model}: modulation needs one layer after the other: use mlp or conv4"
        )
    *hidden_layers, head = [node for node in made.nodes if isinstance(node, AbstractLayer)]
    if any(layer.norm is not None for layer in (*hidden_layers, head)):
        raise UsageError(
            f"--learner.model {model}: it normalises, which undoes what a gain does: use a network "
            "without normalisation"
        )
    units = [layer.weight.shape[-1] for layer in hidden_layers]
    dtype = head.weight.dtype
    initial = Modulation(
        [jnp.ones(count, dtype) for count in units],
        [jnp.zeros(count, dtype) for count in units],
        head,
    )
    last = max(i for i, node in enumerate(made.nodes) if isinstance(node, AbstractLayer))
    body = eqx.tree_at(lambda own: own.nodes[last], made, None)
    return Modulated(
        body=body,
        initial=initial,
        rate=rate,
        anchor=anchor,
        solver=Solver(optimiser, steps, batch, until, newton),
        criterion=task.criterion,
    )


def _nodes(body: Any) -> list[AbstractLayer | AbstractFixedNode | None]:
    """The nodes of a body; None where the head stands."""
    return list(body.nodes)
