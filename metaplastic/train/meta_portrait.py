"""A portrait of a meta-trained learner: what figures show of it beside its curves.

One seed's learner is looked at after meta-training: it lives through a held-out lifetime, and its
meta-parameters are put beside those that it began with. All is kept as plain arrays.
"""

import contextlib
import dataclasses
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np

from .._compiling import compiled_once
from .._errors import UsageError
from .._files import write_atomic
from .._types import Key
from ..analysis.adapted_curves import adapted_curves
from ..analysis.lifetimes import interference, update_alignment
from ..analysis.one_lifetime import STATE, fast_numbers, one_lifetime
from ..analysis.retention import class_groups, retention
from ..learners._strengths import strength_tree
from ..learners._synaptic import AbstractSynapticLearner
from ..learners.online import OnlineLearner
from ..learners.paths import path_name, paths
from ..report.portrait import FILE
from ..report.records import RunFolder
from ..tasks.base import AbstractTask
from .fit import Reporter, Silent
from .meta_trainer import MetaReplica, MetaTrainer

FEWEST_STEPS = 50
"""Runs of fewer meta-steps are trials, which have no portrait."""
MOST_FAST_NUMBERS = 200_000
"""Learners of which more changes within a lifetime have no maps of it."""
_MOST_SLOW_NUMBERS = 300_000
"""Numbers of a map of meta-parameters."""
_MOST_WORK = 600_000_000
"""Lifetimes times moments times fast numbers, up to which measuring every moment's change takes
seconds."""
_SAMPLE = 20
"""Lifetimes that are measured, where they are small enough."""


def write_portrait(
    trainer: MetaTrainer,
    state: MetaReplica,
    seeds: Sequence[int],
    test: np.ndarray,
    folder: RunFolder,
    reporter: Reporter | None = None,
) -> None:
    """Write the portrait of a run's median seed into its folder, unless the run was a trial.

    `test` [seeds, lifetimes] is the metric by which the median is found. The reporter hears what is
    left out.
    """
    if trainer.options.steps < FEWEST_STEPS:
        return
    found = portrait(trainer, state, seeds, test)
    write_atomic(folder.path / FILE, _npz(found), run=folder.path)
    for text in found.get("about/left_out", ()):
        (reporter or Silent()).note(f"not drawn: {text}")


def portrait(
    trainer: MetaTrainer, state: MetaReplica, seeds: Sequence[int], test: np.ndarray
) -> dict[str, np.ndarray]:
    """Arrays by `section/name`: `lifetime`, `curves`, `retention`, `alignment`, `interference`,
    `start`, `end`, `strengths`.

    A section is there where the learner and the task have it and are small enough for it; what is
    left out for its size is named in `about/left_out`.
    """
    per_seed = test.mean(-1)
    index = int(np.argsort(per_seed)[(len(per_seed) - 1) // 2])
    learner = trainer.learner(state, index)
    key = jr.fold_in(state.key[index], 2)
    sections: dict[str, dict[str, Any]] = {"about": _about(trainer, seeds[index])}
    start = _start(trainer, state, seeds, index)
    sections["start"], sections["end"] = _matrices(start), _matrices(learner)
    sections["strengths"] = _strengths(learner)
    found, left_out = _lived(learner, trainer.test_task, key)
    sections |= found
    if left_out:
        sections["about"]["left_out"] = left_out
    return {
        f"{section}/{name}": np.asarray(value)
        for section, own in sections.items()
        for name, value in own.items()
        if value is not None
    }


def _lived(learner: Any, task: AbstractTask, key: Key) -> tuple[dict[str, Any], list[str]]:
    """`(sections about held-out lifetimes, what is too large to be among them)`."""
    left_out: list[str] = []
    size = fast_numbers(learner, task)
    lived, curves = one_lifetime(learner, task, key=key), adapted_curves(learner, task, key=key)
    shown = lived.arrays()
    if size > MOST_FAST_NUMBERS:
        shown = {name: own for name, own in shown.items() if not name.startswith(STATE)}
        left_out.append(f"maps of the fast state, which has {size:,} numbers")
    sections = {"lifetime": shown, "curves": {} if curves is None else curves.arrays()}
    moments = len(lived.x)
    count = min(_SAMPLE, _MOST_WORK // max(moments * size, 1))
    if count:
        sections |= _measured(learner, task, lived.y is not None, jr.split(key, count))
    elif isinstance(learner, OnlineLearner) or _tasks_in_turn(task) > 1:
        left_out.append(f"changes of {size:,} numbers over {moments:,} moments")
    return sections, left_out


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    """The arrays as the bytes of an `.npz` file, in which nothing is pickled."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, value, allow_pickle=False)
    return file.getvalue()


def _start(trainer: MetaTrainer, state: MetaReplica, seeds: Sequence[int], index: int) -> Any:
    """What the learner of a replica began with; of several species its own, told by its key."""
    initial = trainer.initial(seeds)
    same = jr.key_data(initial.key) == jr.key_data(state.key[index])
    return trainer.learner(initial, int(np.flatnonzero(same.all(-1))[0]))


def _about(trainer: MetaTrainer, seed: int) -> dict[str, Any]:
    criterion = trainer.task.criterion
    return {
        "seed": seed,
        "metric": criterion.metric,
        "higher_is_better": criterion.higher_is_better,
        "loss": criterion.rule_loss,
    }


def _matrices(learner: Any) -> dict[str, Any]:
    """Meta-parameters with two axes, by path."""
    return {
        path: leaf
        for path, leaf in paths(learner).items()
        if leaf.ndim == 2 and leaf.size <= _MOST_SLOW_NUMBERS
    }


def _strengths(learner: Any) -> dict[str, Any]:
    """Learned strengths lambda of every array of synapses, by path, as quantiles [101]."""
    if not isinstance(learner, AbstractSynapticLearner) or isinstance(
        learner.strength, float | int
    ):
        return {}
    like = eqx.filter_eval_shape(lambda own: own.start(key=jr.key(0)), learner)
    own = strength_tree(learner.strength, like, log=learner.log)
    ranks = np.linspace(0, 1, 101)
    return {
        path_name(path): np.quantile(np.asarray(leaf), ranks)
        for path, leaf in jax.tree.leaves_with_path(own)
    }


def _measured(
    learner: Any, task: AbstractTask, told: bool, keys: jax.Array
) -> dict[str, dict[str, Any]]:
    """What some lifetimes keep, and what changes of weights in them do; one lifetime a key, first
    axis."""
    found: dict[str, Any] = {}
    on_line, parts = isinstance(learner, OnlineLearner) and told, _tasks_in_turn(task)
    if on_line:
        measured = compiled_once(_alignment)(learner, task, keys)
        found["alignment"] = {"cosine": measured.cosine, "overall": measured.overall}
    if told and parts > 1:
        # A task of one's own may mean something else by the words that we go by.
        with contextlib.suppress(UsageError):
            kept = compiled_once(_in_turn)(retention, learner, task, parts, keys)
            found["retention"] = {"before": kept.before, "retention": kept.retention}
            if on_line:
                measured = compiled_once(_in_turn)(interference, learner, task, parts, keys)
                names = ("first_order", "centred", "gradient_centred")
                found["interference"] = {name: getattr(measured, name) for name in names}
    return found


def _tasks_in_turn(task: AbstractTask) -> int:
    """How many classes or functions a lifetime learns one after the other; 0: none."""
    own = {f.name: getattr(task, f.name) for f in dataclasses.fields(task)}
    if own.get("order") != "continual" or own.get("moments") is not None:
        return 0
    return own.get("ways") or own.get("functions") or 0


def _alignment(learner: OnlineLearner, task: AbstractTask, keys: jax.Array) -> Any:
    def one(key: Key) -> Any:
        sample_key, life_key = jr.split(key)
        return update_alignment(learner, task.sample(sample_key), key=life_key)

    return jax.lax.map(one, keys)


def _in_turn(measure: Any, learner: Any, task: AbstractTask, parts: int, keys: jax.Array) -> Any:
    """`retention` or `interference` of the lifetimes."""

    def one(key: Key) -> Any:
        sample_key, life_key = jr.split(key)
        episode = task.sample(sample_key)
        groups = None
        if episode.criterion.rule_loss == "cross_entropy":
            groups = class_groups(episode, parts)
        return measure(learner, episode, parts, groups=groups, key=life_key)

    return jax.lax.map(one, keys)
