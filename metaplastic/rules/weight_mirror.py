"""Weight mirror: feedback weights learn the forward weights' transpose from noise.

Akrout, Wilson, Humphreys, Lillicrap & Tweed (2019), "Deep learning without weight transport",
NeurIPS, section 3.
"""

import math
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax

from .._properties import Properties
from .._types import Inputs, Key, Targets, Updates
from ..losses import LossName
from ..models import (
    AbstractLayer,
    AbstractNetwork,
    InitialiserName,
    layer_shapes,
    plastic_layers,
)
from ._feedback import Feedback, draw_feedback, feedback_angles, feedback_sizes, own_key
from ._ranges import check_ranges
from .base import AbstractRule, Aux, aux, sweep

_WARMUP_BATCH = 128


class WeightMirror(AbstractRule):
    """Feedback alignment whose feedback weights mirror the forward ones by noise correlation.

    delta_l = (delta_{l+1} B_{l+1}^T) * f'(a_l),  dW_l = pre_l^T delta_l / batch;
    xi ~ N(0, noise^2),  zeta = f(xi W_l + b_l),
    B_l <- (1 - mirror_decay) B_l + mirror_rate xi^T zeta / (batch positions)

    xi is fresh at every layer and every step, at the layer's input, and the layer answers alone:
    no dropout, no normalisation. E[xi^T zeta] = noise^2 g W_l, where the gain g is the mean slope
    of f (1 for `linear`, 1/2 for ReLU without bias), so B_l settles at
    (mirror_rate / mirror_decay) noise^2 g W_l. Positions are those of a convolution's output; with
    zero padding the rim of a kernel is seen at fewer of them and mirrors that much smaller. Not to
    be confused with Kolen-Pollack, the other proposal of the paper, which needs no noise.

    **Locality:** pre and an error that travelled through feedback weights of its own, which learn
    from the activity of the two units they join.
    **State:** B_l, of the shape of W_l, for every layer but the first; plastic.

    ```bibtex
    @inproceedings{akrout2019deep,
      title={Deep learning without weight transport},
      author={Akrout, Mohamed and Wilson, Collin and Humphreys, Peter C. and
              Lillicrap, Timothy and Tweed, Douglas},
      booktitle={Advances in Neural Information Processing Systems}, volume={32}, year={2019}}
    ```
    """

    properties: ClassVar[Properties] = Properties(
        weight_transport="learned",
        nonlocal_signal="chain of errors",
        backward_sweep=True,
        frozen_activity=True,
        update_locked="yes",
        stored_state=True,
        needs_slope=True,
        forward_passes=2,
    )

    feedback_init: InitialiserName = eqx.field(static=True, default="he_uniform")
    """Distribution of the feedback weights at first, with the fan of the forward weight's shape."""
    feedback_scale: float = 1.0
    """Factor of the feedback weights at first."""
    mirror_rate: float = 0.01
    """Learning rate of the feedback weights, per step; the paper's is 0.01."""
    mirror_decay: float = 0.01
    """Share of the feedback weights that is lost per step, 0 to 1; equal to `mirror_rate`, a linear
    layer is mirrored at its own size."""
    noise: float = 1.0
    """Standard deviation of the noise at each layer's input."""
    mirror_batch: int | None = eqx.field(static=True, default=None)
    """Noise patterns a step; None takes as many as the batch has examples (128 in the warm-up)."""
    warmup_steps: int = eqx.field(static=True, default=0)
    """Steps of pure mirroring before training; the paper mirrors for one pass over the data."""
    response: Literal["activation", "linear"] = eqx.field(static=True, default="activation")
    """What answers the noise: post-synaptic activity, or the drive before the nonlinearity."""
    loss: LossName = eqx.field(static=True, default="cross_entropy")
    """Loss at the output."""

    def __check_init__(self):
        check_ranges(
            self, mirror_rate="not negative", mirror_decay="0 to 1", noise="not negative",
            mirror_batch="at least 1", warmup_steps="not negative",
        )  # fmt: skip

    def init(self, model: AbstractNetwork, *, key: Key) -> Feedback:
        draw_key, warmup_key = jax.random.split(key)
        feedback = draw_feedback(model, self.feedback_init, self.feedback_scale, key=draw_key)
        if self.warmup_steps == 0:
            return feedback
        shapes = [shape.pre for shape in layer_shapes(model)]
        batch = self.mirror_batch or _WARMUP_BATCH
        keys = jax.random.split(warmup_key, self.warmup_steps)

        def step(b: Feedback, k: Key) -> tuple[Feedback, None]:
            return self._mirror(model, b, shapes, batch, key=k), None

        return jax.lax.scan(step, feedback, keys)[0]

    def updates(
        self,
        model: AbstractNetwork,
        state: Feedback,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, Feedback, Aux]:
        del signals
        trace = model.trace(x, key=key)
        error = self._loss.error(trace.output, y)
        updates = sweep(model, trace, error, state)
        shapes = [layer.pre.shape[1:] for layer in trace.layers]
        batch = self.mirror_batch or x.shape[0]
        mirrored = self._mirror(model, state, shapes, batch, key=own_key(key))
        return updates, mirrored, aux(self._loss, trace, y)

    def angles(self, model: AbstractNetwork, state: Feedback) -> dict[str, jax.Array]:
        return feedback_angles(model, state)

    def sizes(self, model: AbstractNetwork, state: Feedback) -> dict[str, jax.Array]:
        return feedback_sizes(model, state)

    def _mirror(
        self,
        model: AbstractNetwork,
        feedback: Feedback,
        shapes: list[tuple[int, ...]],
        batch: int,
        *,
        key: Key,
    ) -> Feedback:
        """One step of mirroring in every layer but the first."""
        layers = plastic_layers(model)
        keys = jax.random.split(key, len(layers))
        own = zip(layers, feedback, shapes, keys, strict=True)
        return tuple(
            None if b is None else self._mirror_layer(layer, b, shape, batch, key=k)
            for layer, b, shape, k in own
        )

    def _mirror_layer(
        self, layer: AbstractLayer, b: jax.Array, shape: tuple[int, ...], batch: int, *, key: Key
    ) -> jax.Array:
        xi = self.noise * jax.random.normal(key, (batch, *shape), b.dtype)
        zeta = layer.drive(xi)
        if self.response == "activation":
            zeta = layer.activate(zeta)
        samples = math.prod(zeta.shape[:-1])
        return (1 - self.mirror_decay) * b + (self.mirror_rate / samples) * layer.hebb(xi, zeta)
