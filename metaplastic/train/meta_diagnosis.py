"""Finds where a meta-step went wrong: the lifetime, the moment and the array."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..learners._phase_walk import Moment, walk
from ..learners.bilevel import AbstractBilevelLearner
from ..learners.lifetime import judge, lifetime as lived
from ..learners.online import OnlineLearner
from ..learners.paths import path_name
from ..learners.solver import Batch
from ..meta.base import Blame, count, learned
from ..tasks.base import Episode
from .meta_trainer import MetaReplica, MetaTrainer


class Diagnosis(NamedTuple):
    """The first value that is not finite in a meta-step."""

    lifetime: int | None
    """Number of the lifetime within the meta-step; None where each alone is finite."""
    moment: int | None
    """Moment within the lifetime; None where the forward pass is finite throughout."""
    what: str
    """The task's data, the answer, the path of an array of the fast state, or the gradient of a
    meta-parameter."""
    unit: str = "moment"
    """What the lifetime is made of: moments, or steps of a solver."""
    remedy: str = ""
    """What to try."""
    largest: str = ""
    """The array that grew most, where all were finite but the loss."""

    def __str__(self) -> str:
        where = "" if self.lifetime is None else f" in lifetime {self.lifetime}"
        when = "" if self.moment is None else f", {self.unit} {self.moment}"
        largest = f" (largest: {self.largest})" if self.largest else ""
        return f"{self.what} not finite{where}{when}{largest}"


def diagnose(trainer: MetaTrainer, replica: MetaReplica, step: int) -> Diagnosis:
    """Live through the lifetimes of a meta-step again, one by one, and find what was not finite.

    `replica` is as it was before that meta-step (no leading axis).
    """
    found = _found(trainer, *_lifetimes(trainer, replica, step))
    return found if found.remedy else found._replace(remedy=_remedy(trainer.learner(replica), step))


def _found(trainer: MetaTrainer, learner: Any, episodes: Episode, key: Any) -> Diagnosis:
    keys = jr.split(key, count(episodes))
    for lifetime in range(count(episodes)):
        episode = jax.tree.map(lambda leaf, i=lifetime: leaf[i], episodes)
        found = _lived(trainer, learner, episode, keys[lifetime])
        if found is not None:
            return (_data(episode) or found)._replace(lifetime=lifetime)
    for lifetime in range(count(episodes)):
        one = jax.tree.map(lambda leaf, i=lifetime: leaf[i : i + 1], episodes)
        path = _backward(trainer, learner, one, key)
        if path is not None:
            return Diagnosis(lifetime, None, f"the meta-gradient of {path} is")
    path = _backward(trainer, learner, episodes, key)
    return Diagnosis(None, None, f"the meta-gradient of {path or trainer.leaves[0]} is")


def _remedy(learner: Any, step: int) -> str:
    """Against a lifetime that runs away; before the first meta-step --lr has changed nothing."""
    own = ["a smaller --learner.rate"] if isinstance(learner, OnlineLearner) else []
    if step == 0:
        return (own or ["other values of --learner.…, with which a lifetime stays finite"])[0]
    return ", ".join(["a smaller --lr", "--clip 1", *own])


def worst_lifetime(
    trainer: MetaTrainer, replica: MetaReplica, step: int, measure: str
) -> str | None:
    """Where in a meta-step a measure of `MetaAux.quality` is worst, if the estimator can say."""
    learner, episodes, key = _lifetimes(trainer, replica, step)
    return trainer.estimator.worst(measure, learner, episodes, key=key)


def _lifetimes(trainer: MetaTrainer, replica: MetaReplica, step: int) -> tuple[Any, Episode, Any]:
    episodes, key = trainer.episodes(trainer.task_at(step), replica, jnp.int32(step))
    return trainer.learner(replica), episodes, key


def _lived(trainer: MetaTrainer, learner: Any, episode: Episode, key: Any) -> Diagnosis | None:
    """What is not finite in a lifetime, or in what the estimator makes of it."""
    found = _forward(learner, episode, key)
    if found is not None:
        moment, what = found
        if not isinstance(learner, AbstractBilevelLearner):
            largest = "" if moment is not None else _largest(trainer, learner, episode, key)
            return Diagnosis(None, moment, f"{what} is", largest=largest)
        if episode.stream.x.shape[0] != 1:
            return Diagnosis(None, moment, f"{what} is", remedy=Blame("").remedy)
        blame = Blame(what, *_free_moment(learner, episode, key))
    else:
        blame = trainer.estimator.blame(learner, episode, key=key)
    if blame is None:
        return None
    return Diagnosis(None, blame.step, f"{blame.what} is", blame.unit, blame.remedy)


def _free_moment(learner: AbstractBilevelLearner, episode: Episode, key: Any) -> Moment:
    """The step at which the free phase of a lifetime of one moment breaks."""
    stream = episode.stream
    assert stream.y is not None
    birth_key, step_key = jr.split(key)
    born = learner.start(key=birth_key)
    support = Batch(learner.perceive(stream.x[0]), stream.y[0])
    found = walk(learner, born, support, key=jr.fold_in(step_key, 0)).breaks()
    return Moment(None) if found is None else found


def _data(episode: Episode) -> Diagnosis | None:
    """The task's examples or questions, where they are what is not finite."""
    remedy = "data without NaN and infinity"
    for moment in range(episode.stream.x.shape[0]):
        own = jax.tree.map(lambda leaf, i=moment: leaf[i], (episode.stream.x, episode.stream.y))
        if not _finite(own):
            return Diagnosis(None, moment, "the task's examples are", remedy=remedy)
    if episode.query is not None and not _finite((episode.query.x, episode.query.y)):
        return Diagnosis(None, None, "the task's questions are", remedy=remedy)
    return None


def _finite(tree: Any) -> bool:
    return all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if eqx.is_inexact_array(leaf)
    )


def _forward(learner: Any, episode: Episode, key: jax.Array) -> tuple[int | None, str] | None:
    """`(moment, what)` of the first value of the lifetime that is not finite."""
    birth_key, step_key = jr.split(key)
    names: list[str] = []

    def health(life: Any, output: jax.Array) -> jax.Array:
        leaves = [
            (path_name(path), leaf)
            for path, leaf in jax.tree.leaves_with_path(life)
            if eqx.is_inexact_array(leaf)
        ]
        names[:] = ["the answer", *(f"{name} of the fast state" for name, _ in leaves)]
        return jnp.stack([jnp.isfinite(leaf).all() for leaf in (output, *(v for _, v in leaves))])

    live_on, moments = learner.unfold(episode.stream, key=step_key)

    def step(life: Any, moment: Any) -> Any:
        life, output = live_on(life, moment)
        return life, health(life, output)

    _, fine = jax.lax.scan(step, learner.birth(key=birth_key), moments)
    bad = np.argwhere(~np.asarray(fine))
    if bad.size:
        phase = " of the free phase" if isinstance(learner, AbstractBilevelLearner) else ""
        return int(bad[0, 0]), names[int(bad[0, 1])] + phase
    if not np.isfinite(judge(episode, lived(learner, episode, key=key)).loss):
        return None, "the loss"
    return None


def _largest(trainer: MetaTrainer, learner: Any, episode: Episode, key: jax.Array) -> str:
    """The array with the largest number at a lifetime's end, which it names with that number."""
    life = lived(learner, episode, key=key).life
    kinds = {
        "of the fast state": life,
        "of the meta-parameters": learned(learner, trainer.where)[0],
    }
    sizes = {
        f"{path_name(path)} {kind}": float(jnp.abs(leaf).max())
        for kind, tree in kinds.items()
        for path, leaf in jax.tree.leaves_with_path(tree)
        if eqx.is_inexact_array(leaf) and leaf.size
    }
    name = max(sizes, key=lambda own: sizes[own], default=None)
    return "" if name is None else f"{name}, {sizes[name]:.2g}"


def _backward(trainer: MetaTrainer, learner: Any, episodes: Episode, key: Any) -> str | None:
    gradient, _ = trainer.estimator(learner, episodes, key=key, where=trainer.where)
    for path, leaf in jax.tree.leaves_with_path(gradient):
        if not bool(jnp.isfinite(leaf).all()):
            return path_name(path)
    return None
