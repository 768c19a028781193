"""Trains one network design with one rule: many replicas (seeds, learning rates) in one program.

Everything inside a chunk of steps is one compiled `lax.scan`; the host only reads metrics between
chunks. The same state, step and options always give the same numbers, however the steps are
divided into chunks, so that a resumed run ends where an uninterrupted one does.
"""

import copy
import functools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._compiling import quick_options
from .._devices import Spread
from .._memory import require_memory
from .._types import Key
from ..data import Dataset
from ..models import absorb_statistics, weights
from ..rules.base import AbstractRule
from . import measures
from .batches import Batches, Split, make_batches
from .measures import Measured
from .network import network_builder
from .optimiser import make_optimiser, make_schedule
from .options import TrainOptions
from .replicas import on_all_devices, on_one_device, static_part
from .workload import loops_over_replicas, step_multiplications, steps_of_chunk


class Replica(eqx.Module):
    """All that one run carries from step to step; a `TrainState` is these with a leading axis."""

    model: Any
    """The arrays of the network."""
    rule: Any
    optimiser: Any
    key: Key
    rate: jax.Array
    """Learning rate before its schedule."""


class ChunkMetrics(eqx.Module):
    """What the host hears of a chunk: [replicas, steps] each, and the health of every leaf."""

    loss: jax.Array
    accuracy: jax.Array
    finite: dict[str, jax.Array]
    """By path of a weight: was it finite at the end of the chunk? [replicas]"""


class Trainer:
    """Compiled functions of one training run; pure in their arguments, the data among them."""

    def __init__(self, rule: AbstractRule, dataset: Dataset, options: TrainOptions):
        options.check()
        self.rule = rule
        self.options = options
        self.spread = Spread(options.devices)
        self.batches: Batches = make_batches(dataset, options, seed=0)
        self._ready = self.spread.put(self.batches)
        shape = rule.input_shape(self.batches.shape, self.batches.classes)
        self.same_inputs = shape == self.batches.shape
        self._build = network_builder(options, shape, self.batches.classes)
        self._optimiser = make_optimiser(options)
        self._schedule = make_schedule(options, self.steps_per_epoch)
        model = eqx.filter_eval_shape(self._build, jr.key(0))
        self.static = static_part(model)
        self.work = step_multiplications(model, shape, options.batch_size)
        self.loop = loops_over_replicas(options.parallel, self.work)
        self.chunk_steps = steps_of_chunk(self.steps_per_epoch, self.work)
        self.start = jax.jit(self._start, compiler_options=quick_options())
        self._jit_chunk = jax.jit(self._chunk, static_argnames="length")
        self._jit_scores, self._jit_alignment, self._jit_measures = (
            jax.jit(functools.partial(self._replicas, measure))
            for measure in (self._score, self._alignment, self._measure)
        )

    @property
    def steps_per_epoch(self) -> int:
        return self.batches.steps_per_epoch

    @property
    def steps(self) -> int:
        return self.options.epochs * self.steps_per_epoch

    def on(self, dataset: Dataset) -> "Trainer":
        """This trainer for other examples of the same shapes; nothing is compiled again.

        Raises `ValueError` where shape, classes or number of the examples differ.
        """
        other = copy.copy(self)
        other.batches = make_batches(dataset, self.options, seed=0)
        if _shapes(other.batches) != _shapes(self.batches):
            raise ValueError(
                f"{dataset.name} differs in its shapes from the data that this trainer was made "
                "for: make a new Trainer"
            )
        other._ready = other.spread.put(other.batches)
        return other

    # Set-up

    def initial(self, seeds: Sequence[int], rates: Sequence[float]) -> Replica:
        """One replica for each pair of seed and learning rate, stacked.

        Raises `UsageError` where they are larger than memory.
        """
        given = jnp.stack([jr.key(seed) for seed in seeds]), jnp.asarray(rates, jnp.float32)
        require_memory(jax.eval_shape(self.start, *given), fix="--hidden, or fewer --seeds")
        return self.start(*given)

    def _start(self, keys: jax.Array, rates: jax.Array) -> Replica:
        def one(key: Key, rate: jax.Array) -> Replica:
            model_key, rule_key, data_key = jr.split(key, 3)
            model = self._build(model_key)
            return Replica(
                model=eqx.filter(model, eqx.is_array),
                rule=self.rule.init(model, key=rule_key),
                optimiser=self._optimiser.init(weights(model)),
                key=data_key,
                rate=rate,
            )

        return jax.vmap(one)(keys, rates)

    def _replicas(self, function: Any, whole: Any, state: Replica) -> Any:
        """`function(whole, replica)` of every replica; each device has a part of them."""
        each = functools.partial(on_one_device, function, loop=self.loop)
        return on_all_devices(self.spread, each, whole, state)

    def model(self, replica: Replica) -> Any:
        """The network of one replica (no leading axis)."""
        return eqx.combine(replica.model, self.static)

    # Training

    def chunk(
        self, state: Replica, step: jax.Array, *, length: int
    ) -> tuple[Replica, ChunkMetrics]:
        """`length` steps from `step` on; they must lie within one epoch."""
        whole = self._jit_chunk(self._ready, self.spread.put(state), step, length=length)
        return self.spread.take(whole)

    def _chunk(
        self, batches: Batches, state: Replica, step: jax.Array, *, length: int
    ) -> tuple[Replica, ChunkMetrics]:
        def one(whole: Any, replica: Replica) -> tuple[Replica, ChunkMetrics]:
            batches, step = whole
            epoch, first = step // self.steps_per_epoch, step % self.steps_per_epoch
            order = batches.order(epoch, key=jr.fold_in(replica.key, 0))
            order = jax.lax.dynamic_slice_in_dim(order, first, length)
            steps = step + jnp.arange(length)
            advance = functools.partial(self._step, batches)
            replica, (loss, accuracy) = jax.lax.scan(advance, replica, (order, steps))
            return replica, ChunkMetrics(loss, accuracy, _finite(replica.model))

        return self._replicas(one, (batches, step), state)

    def _step(
        self, batches: Batches, replica: Replica, xs: Any
    ) -> tuple[Replica, tuple[jax.Array, jax.Array]]:
        indices, step = xs
        key = jr.fold_in(jr.fold_in(replica.key, 1), step)
        batch_key, rule_key = jr.split(key)
        x, y = batches.batch(indices, key=batch_key)
        rate = replica.rate * self._schedule(step)
        before = self.model(replica)
        updates, rule_state, aux = self.rule.updates(
            before, replica.rule, x, y, key=rule_key, learning_rate=rate
        )
        steps, optimiser = self._optimiser.update(updates, replica.optimiser, weights(before))
        moved = jax.tree.map(
            lambda step, own: -rate * step if own else jnp.zeros_like(step),
            steps,
            self.rule.trained(before),
        )
        after = eqx.apply_updates(before, moved)
        after = absorb_statistics(after, aux.statistics)
        after, rule_state = self.rule.after_step(before, after, rule_state)
        accuracy = (aux.output.argmax(-1) == y.argmax(-1)).mean()
        replica = Replica(
            eqx.filter(after, eqx.is_array), rule_state, optimiser, replica.key, replica.rate
        )
        return replica, (aux.loss, accuracy)

    # Between chunks

    def scores(self, state: Replica, split: Split) -> tuple[jax.Array, jax.Array]:
        """`(accuracy, mean loss)` on a split, [replicas] each."""
        state, split = self.spread.put((state, split))
        return self.spread.take(self._jit_scores((self._ready, split), state))

    def _score(self, whole: tuple[Batches, Split], own: Replica) -> tuple[jax.Array, jax.Array]:
        return measures.score(self.rule, self.model(own), own.rule, *whole)

    def alignment(self, state: Replica, step: jax.Array) -> Measured:
        """Angles in degrees to backpropagation by kind and layer, [replicas] each: `update_angle`
        of the weights' updates, `delta_angle` of the deltas, where the rule has any."""
        found = self._jit_alignment((self._ready, step), self.spread.put(state))
        # Named here, since a program returns names in the order of the alphabet: layer 10, layer 2.
        return {
            kind: {f"layer {i}": own for i, own in enumerate(layers, 1) if own is not None}
            for kind, layers in self.spread.take(found).items()
        }

    def _alignment(self, whole: tuple[Batches, jax.Array], own: Replica) -> Any:
        batches, step = whole
        key = jr.fold_in(jr.fold_in(own.key, 2), step)
        rate = own.rate * self._schedule(step)
        return measures.alignment(self.rule, self.model(own), own.rule, batches, rate, key=key)

    def angles(self, state: Replica) -> dict[str, jax.Array]:
        """Angles between forward and feedback weights by name, [replicas] each."""
        return self.weight_measures(state)["weight_angle"]

    def weight_measures(self, state: Replica) -> Measured:
        """`weight_angle` (`angles`) and `weight_size` (|W_l|, and of feedback), [replicas] each."""
        return self.spread.take(self._jit_measures(None, self.spread.put(state)))

    def _measure(self, _: None, own: Replica) -> Measured:
        return measures.weight_measures(self.rule, self.model(own), own.rule)


def _shapes(batches: Batches) -> Any:
    """Structure and shapes of batches: two that agree in them run the same programs."""
    return jax.tree.structure(batches), [(a.shape, a.dtype) for a in jax.tree.leaves(batches)]


def _finite(model: Any) -> dict[str, jax.Array]:
    return {
        jax.tree_util.keystr(path): jnp.isfinite(leaf).all()
        for path, leaf in jax.tree.leaves_with_path(model)
    }
