"""The optax transformation and the learning-rate schedule of a run.

The rate is the last factor of every step, so that one program can train with many rates at once.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from .options import TrainOptions

Schedule = Callable[[jax.Array], jax.Array]
"""Factor of the learning rate at a step."""


def make_optimiser(options: TrainOptions) -> optax.GradientTransformation:
    """The transformation at a learning rate of 1; steps are `-rate * factor * its output`."""
    kind = options.optimiser
    parts = [] if options.clip is None else [optax.clip_by_global_norm(options.clip)]
    decay = optax.add_decayed_weights(options.weight_decay)
    if options.weight_decay and kind != "adamw":
        parts.append(decay)
    if kind in ("momentum", "nesterov"):
        parts.append(optax.trace(options.momentum, nesterov=kind == "nesterov"))
    elif kind in ("adam", "adamw"):
        parts.append(optax.scale_by_adam())
    elif kind == "rmsprop":
        parts.append(optax.scale_by_rms())
    if options.weight_decay and kind == "adamw":
        parts.append(decay)
    return optax.chain(*parts) if parts else optax.identity()


def make_schedule(options: TrainOptions, steps_per_epoch: int) -> Schedule:
    """The factor of the learning rate as a function of the step."""
    last = max(options.epochs * steps_per_epoch, 1)
    if options.schedule == "step":
        edges = jnp.asarray([m * steps_per_epoch for m in options.milestones], jnp.float32)
        decay = jnp.float32(options.decay)
        return lambda step: decay ** (step.astype(jnp.float32) >= edges).sum().astype(jnp.float32)
    if options.schedule == "cosine":
        return lambda step: 0.5 * (1 + jnp.cos(jnp.pi * step.astype(jnp.float32) / last))
    if options.schedule == "linear":
        return lambda step: 1 - step.astype(jnp.float32) / last
    if options.schedule == "cooldown":
        return lambda step: jnp.minimum(1, 2 - 2 * step.astype(jnp.float32) / last)
    return lambda step: jnp.ones((), jnp.float32)
