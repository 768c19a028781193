"""Improves a learner over many lifetimes: many seeds and many meta-steps in one program.

Everything inside a chunk of meta-steps is one compiled scan, sampling of the task included. The
same state, meta-step and options always give the same numbers, however the meta-steps are divided
into chunks, so that a resumed run ends where an uninterrupted one does.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._devices import (
    Spread,
    even_share,
    lifetime_keys,
    lifetime_places,
    mean_of_all,
    own_part,
    share_out,
)
from .._errors import UsageError, unknown
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import live
from ..learners.paths import is_inexact, path_name, select
from ..meta.base import AbstractMetaGradient, AbstractSearch, MetaAux
from ..tasks.base import AbstractTask, Episode
from .meta_optimiser import clip_together, make_meta_optimiser, make_meta_schedule, penalised
from .meta_options import MetaOptions
from .species import keys_of

Build = Callable[[Key], AbstractLearner]

_BATCHED_BELOW = 50_000
"""Meta-parameters up to which a batched program beats a loop over seeds on a CPU."""


class MetaReplica(eqx.Module):
    """All that one seed carries from meta-step to meta-step; a state is these with a leading
    axis."""

    learner: Any
    """The arrays of the learner."""
    optimiser: Any
    key: Key
    skipped: jax.Array
    """Meta-steps that changed nothing because their loss or gradient was out of bounds."""
    stopped: jax.Array
    """The first meta-step whose gradient was not finite, where that ends the run; else -1."""


class MetaMetrics(eqx.Module):
    """What the host hears of a chunk, [seeds, meta-steps] each."""

    loss: jax.Array
    metric: jax.Array
    quality: dict[str, jax.Array]
    """What the estimator says of its own estimates, by name."""


class MetaTrainer:
    """Compiled functions of one meta-training run; pure in their arguments."""

    def __init__(
        self,
        build: Build,
        task: AbstractTask,
        estimator: AbstractMetaGradient,
        options: MetaOptions,
        *,
        vary: str | None = None,
    ):
        """`build` makes a learner from a key; `vary` names a field of the learner, a plain number,
        which then every replica has for itself and none learns.

        Raises `UsageError` for options that cannot work, `DataError` where the task's are missing.
        """
        options.check()
        self.options, self.estimator = options, estimator
        self._vary, self._build = vary, build
        self.stages = options.stages()
        self.task = self._staged(task.load(), 0)
        self.test_task = self._staged(self.task, options.steps - 1).held_out()
        learner = eqx.filter_eval_shape(self._varied, jr.key(0), jnp.zeros(()))
        self._structure = jax.tree.structure(learner)
        self.static = eqx.partition(learner, _is_array)[1]
        self.where = self._learned(learner)
        self.parameters = sum(
            int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(eqx.filter(learner, self.where))
        )
        self.leaves = [
            path_name(path)
            for path, _ in jax.tree.leaves_with_path(eqx.filter(learner, self.where))
        ]
        self._optimiser = make_meta_optimiser(eqx.filter(learner, self.where), options)
        self._penalty = penalised(learner, options)
        if isinstance(estimator, AbstractSearch):
            options.check_search(type(estimator).__name__)
        self._schedule = make_meta_schedule(options)
        self.spread = Spread(options.devices)
        self._clip_by = select(learner, options.clip_by or ("*",), option="clip-by")
        self.loop = self._decide_loop()
        self._ready, self._test_ready = map(self.spread.put, (self.task, self.test_task))
        quick = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
        self._jit_start = jax.jit(self._start, compiler_options=quick)
        patient: Any = {"compiler_options": self.spread.compiler_options}
        self._jit_chunk = eqx.filter_jit(self._chunk, **patient)
        self._jit_test = eqx.filter_jit(self._test, **patient)

    # Set-up

    def initial(self, seeds: Sequence[int], values: Sequence[float] = ()) -> MetaReplica:
        """The replicas of all seeds and species, stacked; `values`, one a seed, are those of the
        field that varies."""
        species = self.options.species
        own = jnp.asarray(values or [0.0] * len(seeds), jnp.float32)
        return self._jit_start(keys_of(seeds, species), jnp.repeat(own, species))

    def _start(self, keys: jax.Array, values: jax.Array) -> MetaReplica:
        def one(key: Key, value: jax.Array) -> MetaReplica:
            build_key, life_key = jr.split(key)
            return self.replica(self._varied(build_key, value), life_key)

        return jax.vmap(one)(keys, values)

    def _varied(self, key: Key, value: jax.Array) -> Any:
        learner = self._build(key)
        if self._vary is None:
            return learner
        return eqx.tree_at(lambda own: getattr(own, str(self._vary)), learner, value)

    def replica(self, learner: AbstractLearner, key: Key) -> MetaReplica:
        """The replica that begins with a given learner (no leading axis)."""
        # Two builds may differ in functions that they hold; one structure for all.
        learner = jax.tree.unflatten(self._structure, jax.tree.leaves(learner))
        arrays = eqx.filter(learner, eqx.is_array)
        begin = self._optimiser.init
        if isinstance(self.estimator, AbstractSearch):
            begin = self.estimator.begin
        optimiser = begin(eqx.filter(arrays, self.where))
        return MetaReplica(arrays, optimiser, key, jnp.zeros((), jnp.int32), jnp.int32(-1))

    def learner(self, state: MetaReplica, index: int | None = None) -> Any:
        """The learner of a replica: of the one at `index` in a state, or of one alone."""
        arrays = state.learner
        if index is not None:
            arrays = jax.tree.map(lambda leaf: leaf[index], arrays)
        return eqx.combine(arrays, self.static)

    def _learned(self, learner: Any) -> Any:
        fixed = (*self.options.freeze, *filter(None, [self._vary]))
        frozen = select(learner, fixed, option="freeze")
        where = jax.tree.map(
            lambda leaf, still: is_inexact(leaf) and not still,
            learner,
            frozen,
        )
        if not any(jax.tree.leaves(where)):
            raise UsageError(
                f"--freeze {' '.join(self.options.freeze)} leaves no meta-parameter to learn"
            )
        return where

    def _decide_loop(self) -> bool:
        if self.options.parallel == "auto":
            return jax.default_backend() == "cpu" and self.parameters > _BATCHED_BELOW
        return self.options.parallel == "loop"

    def _replicas(self, function: Any, whole: Any, state: MetaReplica, *, lifetimes: bool) -> Any:
        """`function(whole, replica)` of every replica. Of several devices, each has a part of the
        replicas, or else of the `lifetimes`, where those can be divided."""
        number, each = state.skipped.shape[0], partial(self._each, function)
        if self.spread.devices > 1 and number % self.spread.devices and lifetimes:
            return self.spread.together(each, whole, state)
        if self.spread.devices > 1 and number > 1:
            return self.spread.divide(each, whole, state)
        return each(whole, state)

    def _divides_lifetimes(self) -> bool:
        """Whether devices can divide the lifetimes of a meta-step, or the members of a search."""
        searches = isinstance(self.estimator, AbstractSearch)
        return searches or self.lifetimes() % self.spread.devices == 0

    def _each(self, function: Any, whole: Any, state: MetaReplica) -> Any:
        """The same on one device: batched, or one after the other."""
        function = partial(function, whole)
        if state.skipped.shape[0] == 1:  # a batch of one is slower than none
            one = function(jax.tree.map(lambda leaf: leaf[0], state))
            return jax.tree.map(lambda leaf: leaf[None], one)
        return jax.lax.map(function, state) if self.loop else jax.vmap(function)(state)

    def check(self) -> None:
        """Trace a meta-step without running it, so that parts that do not go together say so."""
        keys = jax.ShapeDtypeStruct((1,), jr.key(0).dtype)
        values = jax.ShapeDtypeStruct((1,), jnp.float32)
        state = jax.eval_shape(self._start, keys, values)
        eqx.filter_eval_shape(self._chunk, self.task, state, jnp.int32(0), 1)

    def check_devices(self, seeds: int) -> None:
        """Raise `UsageError` where several devices would all do the same."""
        devices, replicas = self.spread.devices, seeds * self.options.species
        if devices > 1 and replicas == 1 and not self._divides_lifetimes():
            raise UsageError(
                f"--devices {devices} do not divide the {self.lifetimes()} lifetimes of a "
                "meta-step: choose another --meta-batch, or more --seeds"
            )

    # Meta-training

    def chunk(
        self, state: MetaReplica, step: int | jax.Array, *, length: int
    ) -> tuple[MetaReplica, MetaMetrics]:
        """`length` meta-steps from `step` on."""
        task = self._staged(self._ready, int(step))
        step = jnp.asarray(step, jnp.int32)
        return self.spread.take(self._jit_chunk(task, self.spread.put(state), step, length))

    def task_at(self, step: int) -> AbstractTask:
        """The task of a meta-step, which the curriculum may change."""
        return self._staged(self.task, step)

    def _staged(self, task: AbstractTask, step: int) -> AbstractTask:
        if self.stages is None:
            return task
        field = self.stages.field
        known = [own.name for own in dataclasses.fields(task) if own.type in (int, "int")]
        if field not in known:
            raise unknown("field of the task that is a number", field, known)
        return dataclasses.replace(task, **{field: self.stages.value(step)})

    def _chunk(
        self, task: AbstractTask, state: MetaReplica, step: jax.Array, length: int
    ) -> tuple[MetaReplica, MetaMetrics]:
        def one(whole: Any, replica: MetaReplica) -> tuple[MetaReplica, MetaMetrics]:
            task, step = whole

            def advance(replica: MetaReplica, step: jax.Array) -> tuple[MetaReplica, MetaMetrics]:
                episodes, key = self.episodes(task, replica, step)
                return self.meta_step(replica, episodes, step, key=key)

            return jax.lax.scan(advance, replica, step + jnp.arange(length, dtype=jnp.int32))

        return self._replicas(one, (task, step), state, lifetimes=self._divides_lifetimes())

    def episodes(
        self, task: AbstractTask, replica: MetaReplica, step: jax.Array
    ) -> tuple[Episode, Key]:
        """The lifetimes of a meta-step, and the key of what is random within them."""
        sample_key, life_key = jr.split(jr.fold_in(jr.fold_in(replica.key, 0), step))
        every = self.lifetimes()
        if isinstance(self.estimator, AbstractSearch):  # all: its members are what is divided
            keys, places = jr.split(sample_key, every), jnp.arange(every, dtype=jnp.uint32)
        else:
            keys = lifetime_keys(sample_key, own_part(every))
            places = lifetime_places(own_part(every))
        numbers = step.astype(jnp.uint32) * jnp.uint32(every) + places
        return jax.vmap(task.nth)(numbers, keys), life_key

    def lifetimes(self, asked: int | None = None) -> int:
        """Lifetimes of a meta-step (or as many as asked for), where there are as many."""
        asked = self.options.meta_batch if asked is None else asked
        return min(asked, self.task.distinct or asked)

    def meta_step(
        self, replica: MetaReplica, episodes: Episode, step: jax.Array, *, key: Key
    ) -> tuple[MetaReplica, MetaMetrics]:
        """One meta-step of one replica on given lifetimes."""
        before = self.learner(replica)
        searches = isinstance(self.estimator, AbstractSearch)
        move = self._searched if searches else self._descended
        after, optimiser, aux, finite = move(replica, episodes, step, key)
        loss = aux.loss.mean()
        usable = finite & (replica.stopped < 0)
        if self.options.skip_above is not None:
            usable &= loss <= self.options.skip_above
        stopped = replica.stopped
        if self.options.non_finite == "stop":
            stopped = jnp.where(~finite & (stopped < 0), step, stopped)
        learner, optimiser = _choose(
            usable,
            (eqx.filter(eqx.combine(after, before).constrained(), eqx.is_array), optimiser),
            (replica.learner, replica.optimiser),
        )
        skipped = replica.skipped + (~usable).astype(jnp.int32)
        after_step = MetaReplica(learner, optimiser, replica.key, skipped, stopped)
        quality = {name: value.mean() for name, value in aux.quality.items()}
        return after_step, MetaMetrics(loss, aux.metric.mean(), quality)

    def _descended(
        self, replica: MetaReplica, episodes: Episode, step: jax.Array, key: Key
    ) -> tuple[Any, Any, MetaAux, jax.Array]:
        """`(meta-parameters, optimiser, aux, finite)` after a step along a meta-gradient."""
        learner = self.learner(replica)
        found = self.estimator(learner, episodes, key=key, where=self.where)
        gradient, aux = mean_of_all(found)
        finite = _all_finite(gradient, aux)
        arrays = eqx.filter(replica.learner, self.where)
        gradient = self._penalty(gradient, arrays)
        if self.options.clip is not None:
            gradient = clip_together(gradient, self._clip_by, self.options.clip)
        with jax.numpy_dtype_promotion("standard"):
            steps, optimiser = self._optimiser.update(gradient, replica.optimiser, arrays)
        factor = self._schedule(step)
        steps = jax.tree.map(lambda own: own * factor.astype(own.dtype), steps)
        return eqx.apply_updates(arrays, steps), optimiser, aux, finite

    def _searched(
        self, replica: MetaReplica, episodes: Episode, step: jax.Array, key: Key
    ) -> tuple[Any, Any, MetaAux, jax.Array]:
        """The same after a step of a search, which has its own state in the optimiser's place."""
        del step
        assert isinstance(self.estimator, AbstractSearch)
        learner = self.learner(replica)
        moved = self.estimator.advance(
            learner, replica.optimiser, episodes, key=key, where=self.where
        )
        return moved.arrays, moved.state, moved.aux, moved.usable

    # Meta-testing

    def test(self, state: MetaReplica, lifetimes: int | None = None) -> MetaAux:
        """Loss and metric of lifetimes of the held-out task, [seeds, lifetimes] each."""
        asked = self.lifetimes(lifetimes or self.options.test_lifetimes)
        return self.spread.take(self._jit_test(self._test_ready, self.spread.put(state), asked))

    def _test(self, task: AbstractTask, state: MetaReplica, lifetimes: int) -> MetaAux:
        def one(task: AbstractTask, replica: MetaReplica) -> MetaAux:
            learner = self.learner(replica)

            def lived(key: Key) -> Any:
                sample_key, life_key = jr.split(key)
                return live(learner, task.sample(sample_key), key=life_key)

            def all_lived(keys: jax.Array) -> Any:
                together = even_share(len(keys), max(self.options.meta_batch, 10))
                return jax.lax.map(lived, keys, batch_size=together)

            verdict = share_out(all_lived, jr.split(jr.fold_in(replica.key, 1), lifetimes))
            return MetaAux(verdict.loss, verdict.metric)

        return self._replicas(one, task, state, lifetimes=True)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct | jax.Array | np.ndarray)


def _all_finite(gradient: Any, aux: MetaAux) -> jax.Array:
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)]
    return jnp.stack([*leaves, jnp.isfinite(aux.loss).all()]).all()


def _choose(condition: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
