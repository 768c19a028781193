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
import numpy as np

from .._devices import Spread
from .._types import Key
from ..data import Dataset
from ..losses import LOSSES
from ..models import absorb_statistics, plastic_layers, weights
from ..rules._feedback import norm
from ..rules.backprop import Backprop
from ..rules.base import AbstractRule
from .batches import Batches, Split, make_batches, multiplications
from .network import network_builder
from .optimiser import make_optimiser, make_schedule
from .options import TrainOptions

_BATCHED_BELOW = 4e6
"""Multiplications of a batch up to which a batched program beats a loop over replicas on a CPU."""
_CHUNK_MULTIPLICATIONS = 4e11
"""Multiplications after which a chunk ends, so that the host hears of long epochs."""


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
        self.static = eqx.partition(model, _is_array)[1]
        self.work = self._work(model)
        self.loop = self._decide_loop()
        self.chunk_steps = self._decide_chunk()
        # It runs once, and the code that draws random numbers takes long to optimise.
        quick = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
        self.start = jax.jit(self._start, compiler_options=quick)
        self._jit_chunk = jax.jit(self._chunk, static_argnames="length")
        self._jit_scores = jax.jit(self._scores)
        self._jit_alignment = jax.jit(self._alignment)
        self._jit_measures = jax.jit(self._measures)

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
        """One replica for each pair of seed and learning rate, stacked."""
        keys = jnp.stack([jr.key(seed) for seed in seeds])
        return self.start(keys, jnp.asarray(rates, jnp.float32))

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

    def _work(self, model: Any) -> float:
        probe = jax.ShapeDtypeStruct((1, *_input_shape(self)), jnp.float32)
        trace = eqx.filter_eval_shape(lambda m, x: m.trace(x, key=jr.key(0)), model, probe)
        shapes = [
            (layer.weight.shape, own.post.shape[1:])
            for layer, own in zip(plastic_layers(model), trace.layers, strict=True)
        ]
        return float(multiplications(shapes) * self.options.batch_size)

    def _decide_loop(self) -> bool:
        if self.options.parallel == "auto":
            return jax.default_backend() == "cpu" and self.work > _BATCHED_BELOW
        return self.options.parallel == "loop"

    def _decide_chunk(self) -> int:
        pieces = round(3 * self.work * self.steps_per_epoch / _CHUNK_MULTIPLICATIONS)
        return -(-self.steps_per_epoch // max(pieces, 1))

    def _replicas(self, function: Any, whole: Any, state: Replica) -> Any:
        """`function(whole, replica)` of every replica; each device has a part of them."""
        each = functools.partial(self._each, function)
        if self.spread.devices == 1 or state.rate.shape[0] == 1:
            return each(whole, state)
        return self.spread.divide(each, whole, state)

    def _each(self, function: Any, whole: Any, state: Replica) -> Any:
        """The same on one device: batched, or one after the other."""
        function = functools.partial(function, whole)
        if not self.loop:
            return jax.vmap(function)(state)
        if state.rate.shape[0] == 1:
            one = function(jax.tree.map(lambda leaf: leaf[0], state))
            return jax.tree.map(lambda leaf: leaf[None], one)
        return jax.lax.map(function, state)

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

    # Evaluation

    def scores(self, state: Replica, split: Split) -> tuple[jax.Array, jax.Array]:
        """`(accuracy, mean loss)` on a split, [replicas] each."""
        state, split = self.spread.put((state, split))
        return self.spread.take(self._jit_scores(self._ready, state, split))

    def _scores(
        self, batches: Batches, state: Replica, split: Split
    ) -> tuple[jax.Array, jax.Array]:
        return self._replicas(self._score, (batches, split), state)

    def _score(self, whole: tuple[Batches, Split], replica: Replica) -> tuple[jax.Array, jax.Array]:
        batches, split = whole
        model, size = self.model(replica), len(split)
        pieces = -(-size // 500)
        width = -(-size // pieces)
        # Whole pieces: the last one is filled up with examples that do not count.
        index = jnp.arange(pieces * width).reshape(pieces, width)
        loss = LOSSES[self.rule.loss]

        def piece(index: jax.Array) -> tuple[jax.Array, jax.Array]:
            x, labels = split.x[index % size], split.y[index % size]
            output = self.rule.predict(model, replica.rule, batches.inputs(x))
            correct = output.argmax(-1) == labels
            losses = loss.per_example(output, batches.targets(labels))
            real = index < size
            return jnp.where(real, correct, False).sum(), jnp.where(real, losses, 0).sum()

        correct, losses = jax.lax.map(piece, index)
        return correct.sum() / size, losses.sum() / size

    # Analysis

    def alignment(self, state: Replica, step: jax.Array) -> jax.Array:
        """Angle in degrees of each layer's update to backpropagation's, [replicas, layers]."""
        return self.spread.take(self._jit_alignment(self._ready, self.spread.put(state), step))

    def _alignment(self, batches: Batches, state: Replica, step: jax.Array) -> jax.Array:
        from ..analysis.alignment import update_angles

        loss: Any = self.rule.loss
        oracle = Backprop(loss=loss)

        def one(whole: Any, replica: Replica) -> jax.Array:
            batches, step = whole
            model = self.model(replica)
            rate = replica.rate * self._schedule(step)

            def angles(index: jax.Array) -> jax.Array:
                key = jr.fold_in(jr.fold_in(jr.fold_in(replica.key, 2), step), index)
                order = jr.choice(key, len(batches.train), (batches.batch_size,))
                x, y = batches.batch(order, key=key)
                return update_angles(
                    self.rule, oracle, model, replica.rule, x, y, key=key, learning_rate=rate
                )

            return jax.lax.map(angles, jnp.arange(4)).mean(0)

        return self._replicas(one, (batches, step), state)

    def angles(self, state: Replica) -> dict[str, jax.Array]:
        """Angles between forward and feedback weights by name, [replicas] each."""
        return self.weight_measures(state)["weight_angle"]

    def weight_measures(self, state: Replica) -> dict[str, dict[str, jax.Array]]:
        """`weight_angle` (`angles`) and `weight_size`: by name, [replicas] each. Sizes are |W_l| of
        every plastic layer, and those that the rule gives of its feedback weights."""
        return self.spread.take(self._jit_measures(self.spread.put(state)))

    def _measures(self, state: Replica) -> dict[str, dict[str, jax.Array]]:
        def one(_: None, replica: Replica) -> dict[str, dict[str, jax.Array]]:
            model = self.model(replica)
            layers = enumerate(plastic_layers(model), 1)
            own = {f"|W{index}|": norm(layer.weight) for index, layer in layers}
            return {
                "weight_angle": self.rule.angles(model, replica.rule),
                "weight_size": own | self.rule.sizes(model, replica.rule),
            }

        return self._replicas(one, None, state)


def _shapes(batches: Batches) -> Any:
    """Structure and shapes of batches: two that agree in them run the same programs."""
    return jax.tree.structure(batches), [(a.shape, a.dtype) for a in jax.tree.leaves(batches)]


def _input_shape(trainer: Trainer) -> tuple[int, ...]:
    return trainer.rule.input_shape(trainer.batches.shape, trainer.batches.classes)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct | jax.Array | np.ndarray)


def _finite(model: Any) -> dict[str, jax.Array]:
    return {
        jax.tree_util.keystr(path): jnp.isfinite(leaf).all()
        for path, leaf in jax.tree.leaves_with_path(model)
    }
