"""Short-term plasticity: what is asked of every learner once it is meta-trained."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np

from ..learners.base import AbstractLearner
from ..learners.lifetime import live
from ..report.records import RunFolder
from ..tasks.base import AbstractTask, Episode
from ..train.design import Design
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaReplica, MetaTrainer
from ._meta_trained import meta_trained
from .base import Found, Study

ENERGY = "synaptic energy"
"""sum |G| u^2 over all synapses but those of the read-out, mean over moments."""
_LIFETIMES = 256
"""New lifetimes, over which energies and accuracies at other intervals are means."""


def learner_study(design: Design, options: MetaOptions, intervals: Sequence[int] = ()) -> Study:
    """Meta-train; accuracy on the held-out task, energy, and accuracy at other intervals.

    `intervals` are those of continual familiarity, which the learner may never have met.
    """

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        name = design.learner.name
        learned = meta_trained(design, options, seeds, folder, reporter, name=name)
        (trainer, outcome), replicas = learned, learned.replicas()
        energy = np.stack([_energy(trainer, own) for own in replicas])
        accuracy = [_accuracies(trainer, own, intervals).tolist() for own in replicas]
        data = {
            "learner": name,
            "parameters": trainer.parameters,
            "skipped": outcome.records[-1].get("skipped"),
            "curve": _curve(outcome.records),
            "energy": energy.tolist(),
            "intervals": list(intervals),
            "accuracy": accuracy,
            "chance": [_new(trainer, replicas[0], own) for own in intervals],
            "trained": list(getattr(trainer.task, "interval", ())),
        }
        rows = {"": outcome.test.mean(-1), "energy": energy.mean(-1)}
        return Found(rows, data, {"energy": ENERGY})

    return study


def _curve(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy on the held-out task over meta-steps, [tests, seeds]."""
    tests = [own for own in records if "test_metric" in own]
    return {name: [own[name] for own in tests] for name in ("step", "test_metric")}


def _energy(trainer: MetaTrainer, replica: MetaReplica) -> np.ndarray:
    """Energy of each moment, mean over lifetimes, [time]."""
    from ..analysis.synaptic_energy import synaptic_energy

    episodes, key = _episodes(trainer.test_task, replica)
    energy = synaptic_energy(trainer.learner(replica), episodes, key=key)
    return np.asarray(energy.sum(-1).mean(0), np.float64)


def _at(task: AbstractTask, interval: int) -> AbstractTask:
    return dataclasses.replace(task, interval=(interval,), unseen=None)


def _new(trainer: MetaTrainer, replica: MetaReplica, interval: int) -> float:
    """The part of all moments whose pattern is new."""
    episodes, _ = _episodes(_at(trainer.test_task, interval), replica)
    assert episodes.stream.target is not None
    return float(episodes.stream.target[..., 0].mean())


def _accuracies(trainer: MetaTrainer, replica: MetaReplica, intervals: Sequence[int]) -> np.ndarray:
    """Accuracy when patterns come back after so many moments, [intervals]."""
    learner, found = trainer.learner(replica), []
    for interval in intervals:
        episodes, key = _episodes(_at(trainer.test_task, interval), replica)
        found.append(_lived(learner, episodes, jr.split(key, _LIFETIMES)))
    return np.asarray(found, np.float64)


def _episodes(task: AbstractTask, replica: MetaReplica) -> tuple[Episode, jax.Array]:
    sample_key, life_key = jr.split(jr.fold_in(replica.key, 2))
    return _sampled(task, jr.split(sample_key, _LIFETIMES)), life_key


@eqx.filter_jit
def _sampled(task: AbstractTask, keys: jax.Array) -> Episode:
    return jax.vmap(task.sample)(keys)


@eqx.filter_jit
def _lived(learner: AbstractLearner, episodes: Episode, keys: jax.Array) -> jax.Array:
    verdicts = jax.vmap(lambda own, key: live(learner, own, key=key))(episodes, keys)
    return verdicts.metric.mean()
