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

from .._compiling import quick_options
from .._devices import Spread
from .._errors import UsageError
from .._memory import require_memory
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.paths import path_name
from ..meta.base import AbstractMetaGradient, MetaAux
from ..tasks.base import AbstractTask, Episode
from .meta_lifetimes import draw_episodes, live_test
from .meta_move import MetaMove, meta_parameters
from .meta_options import MetaOptions
from .meta_replica import MetaMetrics as MetaMetrics, MetaReplica as MetaReplica
from .replicas import number_of, on_all_devices, on_one_device, static_part
from .species import keys_of
from .workload import loops_over_replicas

Build = Callable[[Key], AbstractLearner]

_BATCHED_BELOW = 50_000
"""Meta-parameters up to which a batched program beats a loop over seeds on a CPU."""


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
        self.static = static_part(learner)
        self.where = meta_parameters(learner, options, vary)
        learned = eqx.filter(learner, self.where)
        self.parameters = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(learned))
        self.leaves = [path_name(path) for path, _ in jax.tree.leaves_with_path(learned)]
        self._move = MetaMove(learner, self.where, estimator, options)
        self.turns = self._move.turns(self.task)
        self.spread = Spread(options.devices)
        self.loop = loops_over_replicas(
            options.parallel, self.parameters, batched_below=_BATCHED_BELOW
        )
        self._ready, self._test_ready = map(self.spread.put, (self.task, self.test_task))
        quick: Any = {"compiler_options": quick_options()}
        patient: Any = {"compiler_options": self.spread.compiler_options}
        self._jit_start = eqx.filter_jit(self._start, **quick)
        self._jit_chunk = eqx.filter_jit(self._chunk, **patient)
        self._jit_test = eqx.filter_jit(self._test, **patient)

    # Set-up

    def initial(self, seeds: Sequence[int], values: Sequence[float] = ()) -> MetaReplica:
        """The replicas of all seeds and species, stacked; `values`, one a seed, are those of the
        field that varies. Raises `UsageError` where they are larger than memory."""
        species = self.options.species
        own = jnp.asarray(values or [0.0] * len(seeds), jnp.float32)
        given = self.task, keys_of(seeds, species), jnp.repeat(own, species)
        fix = "--learner.hidden, or fewer --seeds or --species"
        require_memory(eqx.filter_eval_shape(self._start, *given), fix=fix)
        return self._jit_start(*given)

    def _start(self, task: AbstractTask, keys: jax.Array, values: jax.Array) -> MetaReplica:
        def one(key: Key, value: jax.Array) -> MetaReplica:
            build_key, life_key = jr.split(key)
            return self.replica(self._varied(build_key, value), life_key, task)

        return jax.vmap(one)(keys, values)

    def _varied(self, key: Key, value: jax.Array) -> Any:
        learner = self._build(key)
        if self._vary is None:
            return learner
        return eqx.tree_at(lambda own: getattr(own, str(self._vary)), learner, value)

    def replica(
        self, learner: AbstractLearner, key: Key, task: AbstractTask | None = None
    ) -> MetaReplica:
        """The replica that begins with a given learner (no leading axis)."""
        # Two builds may differ in functions that they hold; one structure for all.
        learner = jax.tree.unflatten(self._structure, jax.tree.leaves(learner))
        arrays = eqx.filter(learner, eqx.is_array)
        optimiser = self._move.begin(arrays)
        own = MetaReplica(arrays, optimiser, key, jnp.zeros((), jnp.int32), jnp.int32(-1))
        if not self._move.goes_on:
            return own
        episodes, life_key = self.episodes(task or self.task, own, jnp.int32(0))
        lives = self._move.lives(learner, episodes, key=life_key)
        return dataclasses.replace(own, lives=lives)

    def learner(self, state: MetaReplica, index: int | None = None) -> Any:
        """The learner of a replica: of the one at `index` in a state, or of one alone."""
        arrays = state.learner
        if index is not None:
            arrays = jax.tree.map(lambda leaf: leaf[index], arrays)
        return eqx.combine(arrays, self.static)

    def _replicas(self, function: Any, whole: Any, state: MetaReplica, *, lifetimes: bool) -> Any:
        """`function(whole, replica)` of every replica. Of several devices, each has a part of the
        replicas, or else of the `lifetimes`, where those can be divided."""

        def each(whole: Any, state: MetaReplica) -> Any:
            alone = number_of(state) == 1  # a batch of one is slower than none
            return on_one_device(function, whole, state, loop=self.loop or alone)

        return on_all_devices(self.spread, each, whole, state, lifetimes=lifetimes)

    def _divides_lifetimes(self) -> bool:
        """Whether devices can divide the lifetimes of a meta-step, or the members of a search."""
        return self._move.searches or self.lifetimes() % self.spread.devices == 0

    def check(self) -> None:
        """Trace a meta-step without running it, so that parts that do not go together say so."""
        keys = jax.ShapeDtypeStruct((1,), jr.key(0).dtype)
        values = jax.ShapeDtypeStruct((1,), jnp.float32)
        state = eqx.filter_eval_shape(self._start, self.task, keys, values)
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
        return task if self.stages is None else self.stages.staged(task, step)

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
        number, key = step // self.turns, replica.key  # lifetimes that go on are drawn again
        divided = not self._move.shares_out
        return draw_episodes(task, self.lifetimes(), number, divided=divided, key=key)

    def lifetimes(self, asked: int | None = None) -> int:
        """Lifetimes of a meta-step (or as many as asked for), where there are as many."""
        asked = self.options.meta_batch if asked is None else asked
        return min(asked, self.task.distinct or asked)

    def meta_step(
        self, replica: MetaReplica, episodes: Episode, step: jax.Array, *, key: Key
    ) -> tuple[MetaReplica, MetaMetrics]:
        """One meta-step of one replica on given lifetimes."""
        before = self.learner(replica)
        turn = step % self.turns
        moved = self._move(before, replica.optimiser, episodes, step, replica.lives, turn, key=key)
        loss = moved.aux.loss.mean()
        usable = moved.usable & (replica.stopped < 0)
        if self.options.skip_above is not None:
            usable &= loss <= self.options.skip_above
        stopped = replica.stopped
        if self.options.non_finite == "stop":
            stopped = jnp.where(~moved.usable & (stopped < 0), step, stopped)
        after = eqx.combine(moved.arrays, before)
        learner, optimiser = jax.tree.map(
            partial(jnp.where, usable),
            (eqx.filter(after.constrained(), eqx.is_array), moved.state),
            (replica.learner, replica.optimiser),
        )
        # A meta-step that is left out is lived nevertheless; one that ends the run is looked into.
        lives = jax.tree.map(partial(jnp.where, stopped < 0), moved.lives, replica.lives)
        skipped = replica.skipped + (~usable).astype(jnp.int32)
        after_step = MetaReplica(learner, optimiser, replica.key, skipped, stopped, lives)
        quality = {name: value.mean() for name, value in moved.aux.quality.items()}
        return after_step, MetaMetrics(loss, moved.aux.metric.mean(), quality)

    # Meta-testing

    def test(self, state: MetaReplica, lifetimes: int | None = None) -> MetaAux:
        """Loss and metric of lifetimes of the held-out task, [seeds, lifetimes] each."""
        asked = self.lifetimes(lifetimes or self.options.test_lifetimes)
        return self.spread.take(self._jit_test(self._test_ready, self.spread.put(state), asked))

    def _test(self, task: AbstractTask, state: MetaReplica, lifetimes: int) -> MetaAux:
        together = max(self.options.meta_batch, 10)

        def one(task: AbstractTask, replica: MetaReplica) -> MetaAux:
            learner = self.learner(replica)
            return live_test(learner, task, lifetimes, together=together, key=replica.key)

        return self._replicas(one, task, state, lifetimes=True)
