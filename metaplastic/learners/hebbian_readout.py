"""Fixed convolutions under a plastic output: new classes from one example each."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError, require_not_negative
from .._types import Key
from ..models import AbstractNetwork
from ..models._activations import ActivationName
from ..models.composite import Sequential
from ..models.conv import Conv
from ..models.pepita_conv import image_shape
from ..models.pool import Flatten
from ..tasks.base import AbstractTask
from ._entry import told_width
from ._traces import Granularity, Plasticity, TraceName, Traces, require_plastic
from .base import AbstractLearner

LOUD = 1000.0
"""What a label adds to its unit: the softmax is the label then."""


class HebbianReadout(AbstractLearner):
    """Features that do not change within a lifetime, and an output layer of plastic synapses.

        a_t = features(x_t)       z_t = a_t (w + alpha * H_{t-1})
        p_t = softmax(z_t + 1000 y_t)
        H_t = H_{t-1} + eta (a_t^T p_t - H_{t-1} * p_t^2)        (Oja's, or another trace)

    Where a label is told it holds the output units at its value, so that the trace stores which
    features belong to which label; the answer is `z`, without the label. Meta-parameters: the
    convolutions, `w`, `alpha`, `eta`. A life is the trace.

    Miconi, Clune & Stanley (2018), "Differentiable plasticity", section 4.3.
    """

    front: AbstractNetwork
    weight: Float[Array, "features classes"]
    plasticity: Plasticity | None
    """None: a fixed output, the control without plasticity."""

    def perceive(self, x: jax.Array) -> jax.Array:
        return self.front(x)

    def birth(self, *, key: Key) -> Traces | None:
        del key
        return None if self.plasticity is None else self.plasticity.start()

    def step(
        self, life: Traces | None, x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[Traces | None, jax.Array]:
        del key
        answer = self.predict(life, x)
        if self.plasticity is None or life is None:
            return None, answer
        held = answer if y is None else answer + LOUD * y.astype(answer.dtype)
        return self.plasticity.update(life, x, jax.nn.softmax(held)), answer

    def predict(self, life: Traces | None, x: jax.Array) -> jax.Array:
        if self.plasticity is None or life is None:
            return x @ self.weight
        return x @ self.plasticity.efficacy(self.weight, life)

    def constrained(self) -> "HebbianReadout":
        if self.plasticity is None:
            return self
        return eqx.tree_at(lambda own: own.plasticity, self, self.plasticity.constrained())


def hebbian_readout(
    task: AbstractTask,
    *,
    filters: Sequence[int] = (64, 64, 64, 64),
    activation: ActivationName = "tanh",
    padding: int = 0,
    plastic: bool = True,
    granularity: Granularity = "synapse",
    trace: TraceName = "oja",
    eta: float = 0.01,
    learn_eta: bool = True,
    scale: float = 0.01,
    key: Key,
) -> HebbianReadout:
    """A plastic output on 3x3 convolutions of stride 2, for tasks that name classes.

    w ~ scale N(0, 1) and alpha ~ scale U[0, 1), so positive at first.

    Args:
        task: What it is to learn.
        filters: Filters of the convolutions; images of 31x31 end in one position after four.
        activation: Activation of the convolutions.
        padding: Zeros around the images and the activities; 1 where they are too small without.
        plastic: Output synapses change within a lifetime; without, nothing does.
        granularity: Who has a plasticity coefficient: each synapse, each neuron, or all share one.
        trace: The Hebbian trace: a running average (exponential), Oja's, or clipped.
        eta: Rate of the trace; where it is learned, its start.
        learn_eta: The rate is a meta-parameter.
        scale: Standard deviation of the initial weights, largest initial coefficient.
        key: Draws the initial weights and coefficients.
    """
    if not told_width(task):
        raise UsageError(
            "hebbian_readout learns from the y that it is told, and this task tells none: use "
            "hebbian or hebbian_recurrent, or the task few_shot"
        )
    require_not_negative("--learner.scale", scale)
    own = {"trace": trace != "oja", "granularity": granularity != "synapse"}
    require_plastic(plastic, own)
    front_key, weight_key, trace_key, alpha_key = jr.split(key, 4)
    front = _front(task.input_shape, filters, activation, padding, key=front_key)
    features = eqx.filter_eval_shape(front, jnp.zeros((1, *task.input_shape))).shape[1]
    plasticity = None
    if plastic:
        plasticity = Plasticity(
            features,
            task.outputs,
            kind=trace,
            granularity=granularity,
            scale=scale,
            eta=eta,
            learn_eta=learn_eta,
            key=trace_key,
        )
        positive = scale * jr.uniform(alpha_key, plasticity.alpha.shape)
        plasticity = eqx.tree_at(lambda own: own.alpha, plasticity, positive)
    weight = scale * jr.normal(weight_key, (features, task.outputs))
    return HebbianReadout(front, weight, plasticity)


def _front(
    shape: tuple[int, ...],
    filters: Sequence[int],
    activation: ActivationName,
    padding: int,
    *,
    key: Key,
) -> AbstractNetwork:
    """The convolutions, and their activities in one row."""
    if not filters or min(filters) < 1:
        raise UsageError(f"--learner.filters {list(filters)}: give at least one positive number")
    if padding not in (0, 1):
        raise UsageError(f"--learner.padding {padding}: around 3x3 kernels it is 0 or 1")
    height, width, channels = image_shape("hebbian_readout", shape)
    layers = []
    for count, own in zip(filters, jr.split(key, len(filters)), strict=True):
        if min(height, width) + 2 * padding < 3:
            raise UsageError(
                f"--learner.filters {' '.join(map(str, filters))}: {len(filters)} convolutions do "
                f"not fit images of {shape[0]}x{shape[1]}: take --learner.padding 1, fewer of "
                "them, or larger images (--task.resize 31)"
            )
        layers.append(
            Conv(
                channels,
                count,
                3,
                stride=2,
                padding=padding,
                activation=activation,
                bias=True,
                initialiser="fan_in",
                key=own,
            )
        )
        height, width = ((side + 2 * padding - 3) // 2 + 1 for side in (height, width))
        channels = count
    return Sequential(*layers, Flatten(), input_shape=shape)
