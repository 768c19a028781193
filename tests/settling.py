"""Bilevel problems whose meta-gradients are known, for the tests of learners that settle."""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from toy_lifetimes import compiled, flat

from metaplastic.learners.complex_synapse import ComplexSynapse, complex_synapse
from metaplastic.learners.solver import Solver
from metaplastic.meta.contrastive import Contrastive
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.base import AbstractTask, Episode, Query, Stream
from metaplastic.tasks.bilevel_quadratic import BilevelQuadratic, closed_form
from metaplastic.tasks.criteria import CLASSIFICATION, REGRESSION, Criterion


class Points(AbstractTask):
    """Examples to settle on and examples to be judged by, of one noisy linear map.

    With the criterion of classification y is one-hot at the largest output.
    """

    criterion: Criterion = eqx.field(static=True, default=REGRESSION)
    inputs: int = eqx.field(static=True, default=3)
    number: int = eqx.field(static=True, default=2)
    examples: int = eqx.field(static=True, default=6)
    noise: float = eqx.field(static=True, default=0.5)

    @property
    def input_shape(self):
        return (self.inputs,)

    @property
    def outputs(self):
        return self.number

    def sample(self, key):
        map_key, x_key, noise_key = jr.split(key, 3)
        w = jr.normal(map_key, (self.inputs, self.number))
        x = jr.normal(x_key, (2 * self.examples, self.inputs))
        y = x @ w + self.noise * jr.normal(noise_key, (len(x), self.number))
        if self.criterion is CLASSIFICATION:
            y = jax.nn.one_hot(y.argmax(-1), self.number, dtype=x.dtype)
        half = self.examples
        stream = Stream(x[None, :half], y[None, :half], None, None)
        return Episode(stream, Query(x[half:], y[half:]), self.criterion)


class Silent(Points):
    """Nobody asks anything at the end."""

    criterion: ClassVar[Criterion] = REGRESSION

    def sample(self, key):
        episode = super().sample(key)
        return Episode(episode.stream, None, episode.criterion)


class Quadratic:
    """One lifetime of complex synapses on `bilevel_quadratic`, and its exact meta-gradient."""

    def __init__(self, dimension: int = 20):
        """In float64."""
        task = BilevelQuadratic(dimension)

        def both(key):
            return quadratic_learner(task), jax.vmap(task.sample)(key[None])

        self.learner, self.episodes = compiled(both)(jr.key(1))
        self.episode = first(self.episodes)
        self.omega, self.strength = self.learner.consolidated, flat(self.learner.strength)
        found = jax.jit(closed_form)(self.episode, flat(self.omega), self.strength)
        self.minimum, self.exact = found.minimum, gradient_vector(found)

    def error(self, gradient: Any) -> jax.Array:
        """|gradient - exact| / |exact|."""
        own = jnp.concatenate([flat(gradient.consolidated), flat(gradient.strength)])
        return jnp.linalg.norm(own - self.exact) / jnp.linalg.norm(self.exact)

    def landscape(self) -> tuple[np.ndarray, ...]:
        """A, a, B, b of 1/2 (phi - a)^T A (phi - a) and of the same with B, b."""
        stream, query = self.episode.stream, self.episode.query
        parts = []
        for x, y in ((stream.x[0], stream.y[0, :, 0]), (query.x, query.y[:, 0])):
            x, y = np.asarray(x), np.asarray(y)
            parts += [2 / len(x) * x.T @ x, np.linalg.solve(x, y)]
        return tuple(parts)


def quadratic_learner(task: BilevelQuadratic) -> ComplexSynapse:
    """A learned strength exp(0.3 N(0, 1)) for every synapse; phases end at the minimum."""
    learner = complex_synapse(
        task,
        rule=Backprop(),
        hidden=(),
        bias=False,
        strengths="synapse",
        log=False,
        steps=0,
        newton=1,
        key=jr.key(0),
    )
    strength = jnp.exp(0.3 * jr.normal(jr.key(5), (task.dimension, 1)))
    return eqx.tree_at(lambda own: jax.tree.leaves(own.strength), learner, [strength])


def gradient_vector(found: Any) -> jax.Array:
    return jnp.concatenate([found.consolidated, found.strength])


def first(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], tree)


def with_solver(learner: Any, *options: Any, rate: Any = None, **named: Any) -> Any:
    rate = learner.rate if rate is None else rate
    return dataclasses.replace(learner, solver=Solver(*options, **named), rate=rate)


def fields(learner: Any) -> dict[str, Any]:
    """What a subclass of the learner's class is made of."""
    return {own.name: getattr(learner, own.name) for own in dataclasses.fields(learner)}


def at_beta(beta: Any, **options: Any) -> Contrastive:
    """`Contrastive` whose beta may be traced: one program for many of them."""
    own = Contrastive(**options)
    object.__setattr__(own, "beta", beta)
    return own


def cosine(a: Any, b: Any) -> jax.Array:
    """Between two trees of arrays."""
    a, b = flat(a), flat(b)
    return a @ b / (jnp.linalg.norm(a) * jnp.linalg.norm(b))


def relative(a: Any, b: Any) -> jax.Array:
    """|a - b| / |b|."""
    a, b = flat(a), flat(b)
    return jnp.linalg.norm(a - b) / jnp.linalg.norm(b)
