"""Weight mirrors for a chain of layers: feedback weights that noise aligns to the forward ones.

Akrout et al. (2019), "Deep learning without weight transport", section 3.1; as a product for
PEPITA: Srinivasan et al. (2024), section "Weight mirroring".
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._types import Key
from ..models import AbstractLayer, AbstractNetwork, Dense, Flatten, Identity, Sequential

Activity = Callable[[jax.Array], jax.Array]


class MirrorChain(eqx.Module):
    """Mirrors B_l of the layers of a dense stack, and the feedback F = B_1 B_2 ... B_L."""

    weights: tuple[jax.Array, ...]
    """B_l [n_{l-1}, n_l], shaped like W_l."""
    steps: jax.Array
    """Training steps so far."""

    def product(self) -> jax.Array:
        """B_1 B_2 ... B_L, [n_0, classes]."""
        return product(self.weights)


class Mirroring(NamedTuple):
    """How the mirrors of a chain learn."""

    activity: Activity
    """Of the output layer, whose own nonlinearity belongs to the loss."""
    noise: float
    """Standard deviation of what drives a layer."""
    rate: float
    decay: float
    """Relative to the rate."""
    batch: int
    """Noise patterns in one step."""
    target: jax.Array
    """std(B_1 ... B_L) after every step."""


def product(weights: Sequence[jax.Array]) -> jax.Array:
    """W_1 W_2 ... W_L, [n_0, classes], of the weights of a dense stack."""
    return functools.reduce(jnp.matmul, weights)


def is_dense_stack(model: AbstractNetwork) -> bool:
    """Is the network a product of matrices but for its nonlinearities?"""
    return isinstance(model, Sequential) and all(
        isinstance(node, Dense | Flatten | Identity) for node in model.nodes
    )


def start_chain(
    layers: Sequence[AbstractLayer], how: Mirroring, *, warmup: int, key: Key
) -> MirrorChain:
    """Gaussian mirrors after so many steps of mirroring, before any of training."""
    draw_key, warm_key = jr.split(key)
    moved = jax.lax.fori_loop(
        0,
        warmup,
        lambda step, own: _reflect(layers, own, how, key=jr.fold_in(warm_key, step)),
        _draw(layers, how.target, key=draw_key),
    )
    return MirrorChain(moved, jnp.zeros((), jnp.int32))


def follow_chain(
    layers: Sequence[AbstractLayer], chain: MirrorChain, how: Mirroring, *, every: int, key: Key
) -> MirrorChain:
    """The chain one training step later; its mirrors learn in every `every`-th of these."""
    steps, own = chain.steps + 1, chain.weights
    reflect = functools.partial(_reflect, layers, how=how, key=key)
    if every == 1:
        return MirrorChain(reflect(own), steps)
    return MirrorChain(jax.lax.cond(steps % every == 0, reflect, lambda same: same, own), steps)


def _draw(layers: Sequence[AbstractLayer], target: jax.Array, *, key: Key) -> tuple[jax.Array, ...]:
    """Gaussian mirrors whose product has the standard deviation `target`.

    B_l ~ N(0, s^2) with s = (target / sqrt(n_1 ... n_{L-1}))^(1/L).
    """
    hidden = math.prod(layer.weight.shape[-1] for layer in layers[:-1])
    deviation = (target / math.sqrt(hidden)) ** (1 / len(layers))
    weights = tuple(
        deviation.astype(layer.weight.dtype)
        * jr.normal(own, layer.weight.shape, layer.weight.dtype)
        for layer, own in zip(layers, jr.split(key, len(layers)), strict=True)
    )
    return _rescale(weights, target)


def _rescale(weights: tuple[jax.Array, ...], target: jax.Array) -> tuple[jax.Array, ...]:
    """Mirrors times one common factor, after which std(B_1 ... B_L) = `target`."""
    deviation = product(weights).std()
    ratio = jnp.asarray(target, deviation.dtype) / jnp.where(deviation > 0, deviation, 1)
    factor = ratio ** (1 / len(weights))
    return tuple(weight * factor for weight in weights)


def _reflect(
    layers: Sequence[AbstractLayer], weights: tuple[jax.Array, ...], how: Mirroring, *, key: Key
) -> tuple[jax.Array, ...]:
    """Every mirror moves towards its own layer, which is driven by noise of its own.

    xi = noise * N(0, 1) less its mean [batch, n_{l-1}],  zeta = f(xi W_l + b_l) * mask,
    B_l <- B_l + rate * (xi^T zeta / batch - decay * B_l), then all times one common factor

    Behind a softmax, which ignores what all classes share, B_L settles at W_L less its mean over
    classes.
    """
    noise_key, mask_key = jr.split(key)
    widths = [weight.shape[0] for weight in weights]
    # One draw for all layers: every further one costs its own share of compilation.
    drawn = how.noise * jr.normal(noise_key, (how.batch, sum(widths)), weights[0].dtype)
    moved, ends = [], list(itertools.accumulate(widths))
    for index, (layer, weight) in enumerate(zip(layers, weights, strict=True)):
        xi = drawn[:, ends[index] - widths[index] : ends[index]]
        xi = xi - xi.mean()
        key = jr.fold_in(mask_key, index)
        zeta, _ = layer.forward(xi, training=True, masks=None, first_drive=None, key=key)
        if index == len(layers) - 1:
            zeta = how.activity(zeta)
        change = layer.hebb(xi, zeta) / how.batch - how.decay * weight
        moved.append(weight + how.rate * change)
    return _rescale(tuple(moved), how.target)
