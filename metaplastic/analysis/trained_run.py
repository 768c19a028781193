"""A finished run of `metaplastic meta`, read back: its design, and what each seed has learned."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._compiling import compiled_once
from .._errors import MetaplasticError, UsageError
from .._types import Key
from ..learners.lifetime import lifetime
from ..learners.paths import path_name, paths
from ..report.records import RunFolder
from ..tasks.base import AbstractTask, Criterion
from ..train.checkpoint import Checkpoints
from ..train.design import Design, Part, restore_design
from ..train.meta_options import MetaOptions
from ..train.meta_run import require_same_data, restore_meta_options
from ..train.meta_trainer import MetaReplica, MetaTrainer
from ..train.species import leaders, pick


@dataclass(frozen=True)
class TrainedRun:
    """What a run of `meta` came to; one replica a seed, the best of its species."""

    design: Design
    """With the task as it was at the last meta-step."""
    options: MetaOptions
    seeds: tuple[int, ...]
    state: MetaReplica
    chosen: np.ndarray
    """Which species of each seed it is."""
    untouched: frozenset[str]
    """Paths of the arrays that meta-training has left as they were built."""
    trainer: MetaTrainer
    """What has trained it."""

    @property
    def learner(self) -> Any:
        """The arrays of the learners, stacked over seeds."""
        return self.state.learner

    @property
    def criterion(self) -> Criterion:
        return self.trainer.task.criterion

    @cached_property
    def unread(self) -> frozenset[str]:
        """Paths of the arrays whose values no lifetime depends on: initial weights that are drawn
        anew in every lifetime. Found by living one lifetime with each of them lost (NaN)."""
        trainer, arrays = self.trainer, jax.tree.map(lambda leaf: leaf[0], self.state.learner)

        def lived(arrays: Any, task: AbstractTask, key: Key) -> jax.Array:
            sample_key, life_key = jr.split(key)
            learner, episode = eqx.combine(arrays, trainer.static), task.sample(sample_key)
            own = lifetime(learner, episode, key=life_key)
            total = own.outputs.sum()
            return total if own.answers is None else total + own.answers.sum()

        run, key = compiled_once(lived), self.state.key[0]
        as_it_is = run(arrays, trainer.test_task, key)

        def lost(name: str) -> Any:
            return jax.tree_util.tree_map_with_path(
                lambda path, leaf: leaf * jnp.nan if path_name(path) == name else leaf, arrays
            )

        return frozenset(
            name for name in paths(arrays) if run(lost(name), trainer.test_task, key) == as_it_is
        )

    def free(self, names: Iterable[str]) -> frozenset[str]:
        """Which of these hold nothing that was learned: untouched, or not read."""
        names = frozenset(names)
        own = names & self.untouched
        return own if own == names else own | (names & self.unread)


def read_trained(folder: RunFolder) -> TrainedRun:
    """The run of a folder at its newest checkpoint.

    Raises `UsageError` for a run of another command, for one without a checkpoint, and where the
    data are not those of the run; `MetaplasticError` where records are damaged.
    """
    command = folder.read_config().get("command")
    if command != "meta":
        raise UsageError(
            f"{folder.path} is a run of {command!r}: name the folder of a run of `metaplastic meta`"
        )
    config = folder.read_config("design", "options", "seeds", "data")
    design, seeds = restore_design(config["design"]), config["seeds"]
    options = restore_meta_options(config["options"])
    made = design.make()
    require_same_data(config, made, folder)
    trainer = MetaTrainer(*made, options)
    initial = trainer.initial(seeds)
    state = _newest(folder, initial)
    chosen = _leaders(folder, options.species, len(seeds))
    begun, ended = (pick(own, chosen, options.species) for own in (initial, state))
    return TrainedRun(
        _at_the_end(design, options),
        options,
        tuple(seeds),
        ended,
        chosen,
        _untouched(begun.learner, ended.learner),
        trainer,
    )


def _newest(folder: RunFolder, like: MetaReplica) -> MetaReplica:
    if folder.checkpoints.is_dir():
        checkpoints = Checkpoints(folder.checkpoints, run=folder.path)
        step = checkpoints.latest()
        if step is not None:
            return checkpoints.restore(step, like)
    raise MetaplasticError(
        f"{folder.path} has no checkpoint to take a learner from: "
        f"`metaplastic resume {folder.path}` goes on with the run"
    )


def _leaders(folder: RunFolder, species: int, seeds: int) -> np.ndarray:
    records = folder.read_metrics() if species > 1 else []
    losses = [own["species_loss"] for own in records if "species_loss" in own]
    return leaders(losses) if losses else np.zeros(seeds, int)


def _at_the_end(design: Design, options: MetaOptions) -> Design:
    """The design with the number that a curriculum had reached."""
    stages = options.stages()
    if stages is None:
        return design
    fields = {**design.task.fields, stages.field: stages.value(options.steps - 1)}
    return dataclasses.replace(design, task=Part(design.task.name, fields))


def _untouched(before: Any, after: Any) -> frozenset[str]:
    old, new = paths(before), paths(after)
    same = jax.device_get({name: (old[name] == new[name]).all() for name in old})
    return frozenset(name for name, equal in same.items() if equal)
