"""Which arrays are meta-parameters, and how a meta-step moves them: down a meta-gradient, or as a
search says."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._devices import mean_of_all
from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.paths import is_inexact, select
from ..meta.base import AbstractMetaGradient, AbstractOngoing, AbstractSearch, MetaAux, Moved
from ..tasks.base import AbstractTask, Episode
from .meta_optimiser import clip_together, make_meta_optimiser, make_meta_schedule, penalised
from .meta_options import MetaOptions


def meta_parameters(learner: Any, options: MetaOptions, vary: str | None = None) -> Any:
    """Marks the arrays that are learned: all inexact ones, but what is frozen or varies.

    Raises `UsageError` where none is left.
    """
    fixed = (*options.freeze, *filter(None, [vary]))
    frozen = select(learner, fixed, option="freeze")
    where = jax.tree.map(lambda leaf, still: is_inexact(leaf) and not still, learner, frozen)
    if not any(jax.tree.leaves(where)):
        raise UsageError(f"--freeze {' '.join(options.freeze)} leaves no meta-parameter to learn")
    return where


class MetaMove:
    """One step of the meta-parameters on given lifetimes; pure in its arguments.

    A search carries its own state in the place of the optimiser's; an estimator whose lifetimes go
    on, its lives beside it.
    """

    def __init__(
        self, learner: Any, where: Any, estimator: AbstractMetaGradient, options: MetaOptions
    ):
        """`learner` may have shapes for its arrays; `where` marks those that are learned.

        Raises `UsageError` for a path that names no meta-parameter, and for an option that has no
        part in a search, or in lifetimes that go on.
        """
        self._estimator, self._where, self._clip = estimator, where, options.clip
        self._optimiser = make_meta_optimiser(eqx.filter(learner, where), options)
        self._penalty = penalised(learner, options)
        if isinstance(estimator, AbstractSearch):
            options.check_search(type(estimator).__name__)
        if isinstance(estimator, AbstractOngoing) and options.curriculum is not None:
            raise UsageError(
                f"--curriculum {options.curriculum} changes lifetimes in the midst of which the "
                "estimator is: leave it out, or use --estimator evolution"
            )
        self._schedule = make_meta_schedule(options)
        self._clip_by = select(learner, options.clip_by or ("*",), option="clip-by")

    @property
    def searches(self) -> bool:
        """Does the estimator move the meta-parameters by itself?"""
        return isinstance(self._estimator, AbstractSearch)

    @property
    def goes_on(self) -> bool:
        """Do lifetimes take several meta-steps?"""
        return isinstance(self._estimator, AbstractOngoing)

    @property
    def shares_out(self) -> bool:
        """Does the estimator itself divide its work among devices, which all draw all lifetimes?"""
        return self.searches or self.goes_on

    def turns(self, task: AbstractTask) -> int:
        """Meta-steps that a lifetime takes."""
        if not isinstance(self._estimator, AbstractOngoing):
            return 1
        return self._estimator.turns(jax.eval_shape(task.sample, jr.key(0)).stream.x.shape[0])

    def lives(self, learner: AbstractLearner, episodes: Episode, *, key: Key) -> Any:
        """The lives before the first meta-step, where they go on from each to the next."""
        assert isinstance(self._estimator, AbstractOngoing)
        return self._estimator.begin(learner, episodes, key=key, where=self._where)

    def begin(self, learner: Any) -> Any:
        """The state of optimiser or search before the first meta-step."""
        arrays = eqx.filter(learner, self._where)
        if isinstance(self._estimator, AbstractSearch):
            return self._estimator.begin(arrays)
        return self._optimiser.init(arrays)

    def __call__(
        self,
        learner: AbstractLearner,
        state: Any,
        episodes: Episode,
        step: jax.Array,
        lives: Any,
        turn: jax.Array,
        *,
        key: Key,
    ) -> Moved:
        """What the meta-parameters, `state` and `lives` would be after the meta-step, the `turn`th
        of its lifetimes."""
        estimator, options = self._estimator, {"key": key, "where": self._where}
        if isinstance(estimator, AbstractSearch):
            return estimator.advance(learner, state, episodes, **options)
        if isinstance(estimator, AbstractOngoing):
            found = estimator.go_on(learner, lives, episodes, turn, **options)
            return self._descended(learner, state, found.gradient, found.aux, step)._replace(
                lives=found.lives
            )
        gradient, aux = mean_of_all(estimator(learner, episodes, **options))
        return self._descended(learner, state, gradient, aux, step)

    def _descended(
        self, learner: AbstractLearner, state: Any, gradient: Any, aux: MetaAux, step: jax.Array
    ) -> Moved:
        finite = _all_finite(gradient, aux)
        arrays = eqx.filter(learner, self._where)
        gradient = self._penalty(gradient, arrays)
        if self._clip is not None:
            gradient = clip_together(gradient, self._clip_by, self._clip)
        with jax.numpy_dtype_promotion("standard"):
            steps, state = self._optimiser.update(gradient, state, arrays)
        factor = self._schedule(step)
        steps = jax.tree.map(lambda own: own * factor.astype(own.dtype), steps)
        return Moved(eqx.apply_updates(arrays, steps), state, aux, finite)


def _all_finite(gradient: Any, aux: MetaAux) -> jax.Array:
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)]
    return jnp.stack([*leaves, jnp.isfinite(aux.loss).all()]).all()
