"""Groups of meta-parameters, each with its optimiser and rate, as one optax transformation."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from .._errors import UsageError
from ..learners.paths import matches, path_name, select
from .meta_options import Group, MetaOptions

_DEFAULT = "default"


def make_meta_optimiser(learner: Any, options: MetaOptions) -> optax.GradientTransformation:
    """The transformation whose output, scaled by the schedule, is added to the meta-parameters.

    Raises `UsageError` for a group or an exception from decay that names no meta-parameter.
    """
    groups = {f"group {i}": group for i, group in enumerate(options.groups())}
    for group in groups.values():
        select(learner, [group.path], option="group")
    groups[_DEFAULT] = Group("*", options.optimiser, options.lr)

    def label(path: tuple[Any, ...], leaf: Any) -> str:
        name = path_name(path)
        return next(key for key, own in groups.items() if matches(name, own.path))

    def labels(tree: Any) -> Any:
        return jax.tree_util.tree_map_with_path(label, tree)

    transforms: dict[Any, Any] = {key: _transform(own, options) for key, own in groups.items()}
    return optax.multi_transform(transforms, labels)


def _transform(group: Group, options: MetaOptions) -> optax.GradientTransformation:
    rate = group.rate
    if group.optimiser == "clipped_rms":
        from ._clipped_rms import clipped_rms

        return clipped_rms(
            rate,
            max_step=options.max_step or rate,
            l1=options.l1,
            l2=options.l2,
            decay_where=lambda tree: _decays(tree, options),
        )
    parts: dict[str, Callable[[], list[optax.GradientTransformation]]] = {
        "sgd": lambda: [],
        "momentum": lambda: [optax.trace(options.momentum)],
        "adam": lambda: [optax.scale_by_adam()],
        "adamw": lambda: [
            optax.scale_by_adam(),
            optax.add_decayed_weights(options.l2, mask=lambda tree: _decays(tree, options)),
        ],
        "rmsprop": lambda: [optax.scale_by_rms()],
    }
    return optax.chain(*parts[group.optimiser](), optax.scale(-rate))


def _decays(tree: Any, options: MetaOptions) -> Any:
    def one(path: tuple[Any, ...], leaf: Any) -> bool:
        return not any(matches(path_name(path), pattern) for pattern in options.no_decay)

    return jax.tree_util.tree_map_with_path(one, tree)


def make_meta_schedule(options: MetaOptions) -> Callable[[jax.Array], jax.Array]:
    """Factor of every learning rate at a meta-step; 0 in the last, frozen ones."""
    last = options.steps - options.frozen_last

    def schedule(step: jax.Array) -> jax.Array:
        at = step.astype(jnp.float32)
        factor = jnp.ones((), jnp.float32)
        if options.schedule == "step":
            edges = jnp.asarray(options.milestones, jnp.float32)
            factor = jnp.float32(options.decay) ** (at >= edges).sum().astype(jnp.float32)
        elif options.schedule == "cosine":
            factor = 0.5 * (1 + jnp.cos(jnp.pi * at / last))
        elif options.schedule == "linear":
            factor = 1 - at / last
        return jnp.where(step < last, factor, 0.0)

    if options.schedule == "step" and not options.milestones:
        raise UsageError("--schedule step needs --milestones: after which meta-steps to decay")
    return schedule


def clip_together(gradient: Any, where: Any, largest: float) -> Any:
    """Scale a whole meta-gradient by one factor, so that the norm over `where` is at most
    `largest`."""
    chosen = eqx.filter(gradient, where)
    norm = jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(chosen)))
    factor = jnp.minimum(1.0, largest / jnp.maximum(norm, 1e-12))
    return jax.tree.map(lambda leaf: leaf * factor.astype(leaf.dtype), gradient)


def penalised(learner: Any, options: MetaOptions) -> Callable[[Any, Any], Any]:
    """`(gradient, meta-parameters) -> gradient` of the meta-loss with its L1 penalties.

    Raises `UsageError` for a penalty that names no meta-parameter.
    """
    penalties = options.penalties()
    for path in penalties:
        select(learner, [path], option="sparsity")

    def one(path: tuple[Any, ...], gradient: jax.Array, array: jax.Array) -> jax.Array:
        name = path_name(path)
        strength = sum(own for pattern, own in penalties.items() if matches(name, pattern))
        return gradient + strength * jnp.sign(array) if strength else gradient

    if not penalties:
        return lambda gradient, arrays: gradient
    return lambda gradient, arrays: jax.tree_util.tree_map_with_path(one, gradient, arrays)
