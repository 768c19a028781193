"""The contract of a learner: what changes during one lifetime.

A learner is a pytree: its inexact arrays are what meta-learning may change (initial weights,
feedback weights, plasticity coefficients), its Python numbers are hyper-parameters. What changes
while it lives is a `Life`, which a lifetime starts with (`birth`) and every moment replaces
(`step`); the learner itself never changes within a lifetime.
"""

import abc
from typing import Any, TypeAlias

import equinox as eqx
import jax

from .._errors import UsageError
from .._types import Key
from ..tasks.base import Stream
from ._moments import moments, stepper

Life: TypeAlias = Any
"""Fast state: a pytree of arrays."""


class AbstractLearner(eqx.Module):
    """Something that is born, lives through moments and answers."""

    @abc.abstractmethod
    def birth(self, *, key: Key) -> Life:
        """Fast state at the start of a lifetime."""

    @abc.abstractmethod
    def step(
        self, life: Life, x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[Life, jax.Array]:
        """One moment: answer `x` [batch, *input] with [batch, outputs], then change.

        `y` [batch, outputs] is what the learner is told, or None. `x` has gone through `perceive`.
        """

    @abc.abstractmethod
    def predict(self, life: Life, x: jax.Array) -> jax.Array:
        """Answer `x` (which has gone through `perceive`) without changing."""

    def perceive(self, x: jax.Array) -> jax.Array:
        """What does not change within a lifetime, applied to inputs [batch, *input] before they
        enter it: frozen front layers, say. All moments at once, so it must treat every example on
        its own."""
        return x

    def unfold(self, stream: Stream, *, key: Key) -> tuple[Any, Any]:
        """`(step, moments)`: what a lifetime scans, and over what; `(life, moment) -> (life,
        output)` at every moment of the stream. A learner may unfold a moment into steps, which is
        how estimators then see them; the life at the end is that of `step` at every moment."""
        return stepper(self, key=key), moments(self, stream)

    def constrained(self) -> "AbstractLearner":
        """The learner after a meta-step, brought back to where its arrays may be."""
        return self

    def detached(self) -> "AbstractLearner":
        """This learner, with the change of each moment a constant for whoever differentiates
        (the first-order approximation)."""
        return Detached(self)

    def admit(self, source: Any) -> None:
        """Raise `UsageError` where what the learner `source` has learned can be of no use here, in
        the learner's own words; by default nothing is known of that."""
        del source

    def inherit(self, life: Life) -> "AbstractLearner":
        """The learner whose lifetimes start where `life` ended; what Reptile moves towards.

        Raises `UsageError` where lifetimes do not start from arrays of the learner.
        """
        del life
        raise UsageError(
            f"{type(self).__name__} has no weights that change within a lifetime and could be "
            "handed on: use another estimator, such as unrolled"
        )


class Detached(AbstractLearner):
    """A learner seen at first order: d life_{t+1} / d life_t = 1, and each change is a constant."""

    learner: AbstractLearner

    def birth(self, *, key: Key) -> Life:
        return self.learner.birth(key=key)

    def step(
        self, life: Life, x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[Life, jax.Array]:
        after, output = self.learner.step(life, x, y, key=key)
        return pass_through(life, after), output

    def predict(self, life: Life, x: jax.Array) -> jax.Array:
        return self.learner.predict(life, x)

    def perceive(self, x: jax.Array) -> jax.Array:
        return self.learner.perceive(x)

    def unfold(self, stream: Stream, *, key: Key) -> tuple[Any, Any]:
        step, moments = self.learner.unfold(stream, key=key)

        def detached(life: Life, moment: Any) -> tuple[Life, jax.Array]:
            after, output = step(life, moment)
            return pass_through(life, after), output

        return detached, moments


def pass_through(before: Life, after: Life) -> Life:
    """`after` in value; for derivatives, `before` plus a constant."""

    def one(old: jax.Array, new: jax.Array) -> jax.Array:
        if not eqx.is_inexact_array(new):
            return new
        # `old - old` is exactly zero, so that no rounding is added to the value.
        return jax.lax.stop_gradient(new) + (old - jax.lax.stop_gradient(old))

    return jax.tree.map(one, before, after)
