"""Two quadratic losses, one to settle on and one to be judged by: the meta-gradient is known."""

import math
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ._counts import check_counts
from .base import AbstractTask, Episode, Query, Stream
from .criteria import REGRESSION, Criterion


class ClosedForm(NamedTuple):
    """What `closed_form` knows of a lifetime of complex synapses; [dimension] each."""

    minimum: jax.Array
    """phi*, where the synapses settle."""
    consolidated: jax.Array
    """dL_eval(phi*)/d omega."""
    strength: jax.Array
    """dL_eval(phi*)/d lambda."""


class BilevelQuadratic(AbstractTask):
    """l_learn = 1/2 (phi - a)^T A (phi - a),  l_eval = 1/2 (phi - b)^T B (phi - b).

    A and B are new in every lifetime, with random eigenvectors and eigenvalues drawn evenly from
    the given ranges; a, b ~ N(0, 1). Written as regressions of `dimension` examples, whose mean
    squared error they are, for a linear network without bias (`--learner.hidden` with nothing
    after it, `--learner.bias False`).
    """

    criterion: ClassVar[Criterion] = REGRESSION

    dimension: int = eqx.field(static=True, default=20)
    """Of phi."""
    learn_spectrum: tuple[float, float] = eqx.field(static=True, default=(0.1, 2.0))
    """Smallest and largest eigenvalue of A."""
    eval_spectrum: tuple[float, float] = eqx.field(static=True, default=(0.5, 1.5))
    """Smallest and largest eigenvalue of B."""

    def __check_init__(self):
        check_counts(self, "dimension")
        for name in ("learn_spectrum", "eval_spectrum"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                option = name.replace("_", "-")
                raise UsageError(
                    f"--task.{option} {low} {high}: give the smaller of two positive numbers first"
                )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.dimension,)

    @property
    def outputs(self) -> int:
        return 1

    def sample(self, key: Key) -> Episode:
        learn_key, eval_key = jr.split(key)
        x, y = self._regression(self.learn_spectrum, learn_key)
        asked, expected = self._regression(self.eval_spectrum, eval_key)
        stream = Stream(x[None], y[None], None, None)
        return Episode(stream, Query(asked, expected), self.criterion)

    def _regression(self, spectrum: tuple[float, float], key: Key) -> tuple[jax.Array, jax.Array]:
        """Examples whose mean squared error is 1/2 (phi - a)^T A (phi - a)."""
        turn_key, value_key, centre_key = jr.split(key, 3)
        size = self.dimension
        turn = jnp.linalg.qr(jr.normal(turn_key, (size, size)))[0]
        values = jr.uniform(value_key, (size,), minval=spectrum[0], maxval=spectrum[1])
        x = math.sqrt(size / 2) * (turn * jnp.sqrt(values)) @ turn.T
        return x, x @ jr.normal(centre_key, (size, 1))


def closed_form(episode: Episode, consolidated: jax.Array, strength: jax.Array) -> ClosedForm:
    """Where complex synapses settle in an episode of this task, and the exact meta-gradient.

    phi* = (A + Lambda)^-1 (A a + Lambda omega),  p = (A + Lambda)^-1 B (phi* - b)
    d/d omega = lambda p,  d/d lambda = -(phi* - omega) p

    `consolidated` omega and `strength` lambda (of 1/2 lambda (phi - omega)^2) are [dimension].
    """
    assert episode.query is not None and episode.stream.y is not None
    x, y = episode.stream.x[0], episode.stream.y[0, :, 0]
    asked, expected = episode.query.x, episode.query.y[:, 0]
    half = 2 / x.shape[0]
    attracted = half * x.T @ x + jnp.diag(strength)
    minimum = jnp.linalg.solve(attracted, half * x.T @ y + strength * consolidated)
    g = half * asked.T @ (asked @ minimum - expected)
    p = jnp.linalg.solve(attracted, g)
    return ClosedForm(minimum, strength * p, -(minimum - consolidated) * p)
