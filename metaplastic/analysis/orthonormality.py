"""How far the layers of a network are from orthonormal ones, over a lifetime.

Oja's subspace rule drives the rows of W towards an orthonormal set, W W^T = I, and with it the
activity y of a layer towards one from which its input can be had back. Shervani-Tabar & Rosenbaum
(2023), "Meta-learning biologically plausible plasticity rules with random feedback pathways",
equations 11 and 12, figures 7 and 8.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..learners.lifetime import Moment, moments, stepper
from ..learners.online import OnlineLearner, OnlineLife
from ..models import AbstractNetwork, Dense, plastic_layers
from ..tasks.base import Episode


class Orthonormality(NamedTuple):
    """Of each plastic layer, with weights W [units, inputs] as the paper writes them."""

    residual: jax.Array
    """|z - W W^T y|^2, z = W x and y the layer's activity, mean over the batch, [..., layers]."""
    deviation: jax.Array
    """|W W^T - I|_F, [..., layers]; no less than sqrt(units - inputs) where units are more."""


def orthonormality(network: AbstractNetwork, x: jax.Array) -> Orthonormality:
    """Both measures of every layer on a batch. Raises `UsageError` for layers that are not
    dense."""
    residuals, deviations = [], []
    for layer, own in zip(plastic_layers(network), network.trace(x).layers, strict=True):
        if not isinstance(layer, Dense):
            raise UsageError(
                f"{type(layer).__name__} has no matrix W W^T: use a network of dense layers (mlp)"
            )
        gram = layer.weight.T @ layer.weight  # [units, units]; ours are [inputs, units]
        residuals.append(jnp.square(layer.linear(own.pre) - own.post @ gram).sum(-1).mean())
        deviations.append(jnp.linalg.norm(gram - jnp.eye(len(gram), dtype=gram.dtype)))
    return Orthonormality(jnp.stack(residuals), jnp.stack(deviations))


def orthonormality_over_lifetime(
    learner: OnlineLearner, episode: Episode, *, key: Key
) -> Orthonormality:
    """Both measures at birth and after each moment, [1 + time, layers], on the lifetime's questions
    (the first moment's batch where it has none)."""
    birth_key, step_key = jr.split(key)
    step, stream = stepper(learner, key=step_key), moments(learner, episode.stream)
    x = stream.x[0] if episode.query is None else learner.perceive(episode.query.x)

    def measured(life: OnlineLife) -> Orthonormality:
        return orthonormality(learner.network(life), x)

    def moment(life: OnlineLife, own: Moment) -> tuple[OnlineLife, Orthonormality]:
        after, _ = step(life, own)
        return after, measured(after)

    life = learner.birth(key=birth_key)
    _, later = jax.lax.scan(moment, life, stream)
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), measured(life), later)
