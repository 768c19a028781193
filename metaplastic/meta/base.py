"""The contract of a meta-gradient: from a learner and episodes to a gradient of its arrays."""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp

from .._devices import lifetime_keys
from .._hints import check_choices
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import Scan, live
from ..tasks.base import Episode

Gradient: TypeAlias = Any
"""Shaped like the arrays of a learner that are learned; None at every other leaf."""


class MetaAux(eqx.Module):
    """What a meta-gradient says beside its estimate."""

    loss: jax.Array
    """Of each lifetime, [episodes]."""
    metric: jax.Array
    """Of each lifetime, [episodes]."""
    quality: dict[str, jax.Array] = eqx.field(default_factory=dict)
    """How far the estimate can be trusted, by the estimator's own measures, [episodes] each."""


class Blame(NamedTuple):
    """What in a lifetime first is not finite."""

    what: str
    """"phi of the phase at beta -0.1", say."""
    step: int | None = None
    unit: str = "step"
    """What the step is one of."""
    remedy: str = "a smaller --learner.rate or --estimator.rate"


class AbstractMetaGradient(eqx.Module):
    """How to improve, over many lifetimes, what a lifetime starts from.

    Its fields are options of the command line.
    """

    demands: eqx.AbstractClassVar[str]
    """What a learner must be: "" for any, `inherits` where its weights must be handed on,
    `settles` where its lifetimes must be minima of a loss."""

    def __check_init__(self):
        check_choices(self, "--estimator.")

    @abc.abstractmethod
    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        """Gradient of the mean loss over `episodes` (a leading axis), descent by subtraction.

        `where` marks the arrays that are learned (a tree of booleans); all inexact arrays by
        default. The same key gives the same lifetimes under every estimator.
        """

    def blame(self, learner: AbstractLearner, episode: Episode, *, key: Key) -> Blame | None:
        """Where an estimate of one lifetime first is not finite, where the estimator computes more
        than the lifetime itself."""
        del learner, episode, key
        return None

    def advice(self, quality: dict[str, float]) -> dict[str, str]:
        """A sentence for each measure by which the estimate is not to be trusted, judged by the
        means of `MetaAux.quality`."""
        del quality
        return {}

    def worst(
        self, measure: str, learner: AbstractLearner, episodes: Episode, *, key: Key
    ) -> str | None:
        """The lifetime, and what in it, where a measure that `advice` speaks of is worst."""
        del measure, learner, episodes, key
        return None


class Moved(NamedTuple):
    """What one meta-step came to."""

    arrays: Any
    """The meta-parameters after it, with None at every other leaf."""
    state: Any
    """What the search, or the optimiser, carries on."""
    aux: MetaAux
    usable: jax.Array
    """Whether anything finite was found; a boolean."""
    lives: Any = None
    """What an estimator that goes on carries on."""


class AbstractSearch(AbstractMetaGradient):
    """An estimator that moves the meta-parameters by itself, in the place of an optimiser.

    Called like other estimators, it gives the displacement of its first step, the other way round.
    """

    @abc.abstractmethod
    def begin(self, arrays: Any) -> Any:
        """What the search carries from one meta-step to the next; a pytree of arrays."""

    @abc.abstractmethod
    def advance(
        self, learner: AbstractLearner, state: Any, episodes: Episode, *, key: Key, where: Any
    ) -> Moved:
        """One step of the search on these lifetimes."""

    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        arrays = learned(learner, where)[0]
        moved = self.advance(learner, self.begin(arrays), episodes, key=key, where=where)
        return jax.tree.map(lambda old, new: old - new, arrays, moved.arrays), moved.aux


class Continued(NamedTuple):
    """What an estimator that goes on found in one meta-step."""

    gradient: Gradient
    aux: MetaAux
    lives: Any
    """What it carries on."""


class AbstractOngoing(AbstractMetaGradient):
    """An estimator whose lifetimes take several meta-steps, each of which lives a part of them.

    Called like other estimators, it gives the estimate of whole lifetimes.
    """

    @abc.abstractmethod
    def turns(self, moments: int) -> int:
        """Meta-steps that a lifetime of so many moments takes."""

    @abc.abstractmethod
    def begin(self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any) -> Any:
        """What is carried from one meta-step to the next; a pytree of arrays, before the first of
        those that live these lifetimes."""

    @abc.abstractmethod
    def go_on(
        self,
        learner: AbstractLearner,
        lives: Any,
        episodes: Episode,
        turn: jax.Array,
        *,
        key: Key,
        where: Any,
    ) -> Continued:
        """Live part `turn` of these lifetimes; all their parts are given the same `key`."""


def learned(learner: AbstractLearner, where: Any = None) -> tuple[Any, Any]:
    """`(arrays that are learned, everything else)`; `eqx.combine` undoes it."""
    return eqx.partition(learner, eqx.is_inexact_array if where is None else where)


def count(episodes: Episode) -> int:
    """Number of episodes in a batch of them."""
    return episodes.stream.x.shape[0]


def differentiate(
    learner: AbstractLearner,
    episodes: Episode,
    *,
    scan: Scan,
    key: Key,
    where: Any,
    view: Callable[[AbstractLearner], AbstractLearner] = lambda own: own,
) -> tuple[Gradient, MetaAux]:
    """Reverse-mode derivative of the mean loss of the lifetimes, through the given `scan`.

    The lifetimes are those of `view(learner)`, which may be another pytree of the same arrays.
    """
    arrays, rest = learned(learner, where)
    keys = lifetime_keys(key, count(episodes))

    def mean_loss(arrays: Any) -> tuple[jax.Array, MetaAux]:
        own = view(eqx.combine(arrays, rest))

        def one(episode: Episode, key: Key) -> Any:
            return live(own, episode, key=key, scan=scan)

        # A batch of one would only make products of matrices dearer.
        many = jax.vmap(one) if len(keys) > 1 else partial(_alone, one)
        verdict = many(episodes, keys)
        return jnp.mean(verdict.loss), MetaAux(verdict.loss, verdict.metric)

    return jax.grad(mean_loss, has_aux=True)(arrays)


def _alone(one: Callable[..., Any], *batches: Any) -> Any:
    """`vmap` over a leading axis of length 1."""
    result = one(*jax.tree.map(lambda leaf: leaf[0], batches))
    return jax.tree.map(lambda leaf: leaf[None], result)
