"""Functions of one variable before and after a learner has lived through points of them."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._compiling import compiled_once
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import lifetime
from ..tasks.base import AbstractTask, Episode

_POINTS = 100
"""Points of a curve where the task lets us choose how many it asks for."""


@dataclasses.dataclass(frozen=True)
class AdaptedCurves:
    """Curves, in the order of x; those of one lifetime follow each other."""

    x: np.ndarray
    """[curves, points]."""
    target: np.ndarray
    """[curves, points]."""
    before: np.ndarray
    """Answers at birth, [curves, points]."""
    after: np.ndarray
    """Answers at the end of the lifetime, [curves, points]."""
    support_x: np.ndarray
    """Points that the learner met, [curves, met]; NaN where there were fewer."""
    support_y: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def adapted_curves(
    learner: AbstractLearner, task: AbstractTask, *, most: int = 4, met: int = 30, key: Key
) -> AdaptedCurves | None:
    """At most `most` curves of the task, of one lifetime or more, and what the learner makes of
    them; None for a task that has none.

    A curve is a map from one number to one number: inputs of one number, or of a one-hot cue that
    says which curve of the lifetime is meant, then the number. `met`: largest number of points,
    among those that the learner met, that are handed out of a curve.
    """
    if task.outputs != 1 or len(task.input_shape) != 1:
        return None
    dense = _densely_asked(task)
    lived = compiled_once(_lifetimes)(learner, dense, jr.split(key, most))
    found = []
    for own in zip(*(np.asarray(part) for part in lived), strict=True):
        curves = _curves(*own, met=met)
        if curves is None:
            return None
        found += curves
        if len(found) >= most:
            break
    if not found:
        return None
    return AdaptedCurves(*(np.stack(part) for part in zip(*found[:most], strict=True)))


def _densely_asked(task: AbstractTask) -> AbstractTask:
    """The task with many questions, where their number is an option."""
    if "queries" not in {field.name for field in dataclasses.fields(task)}:
        return task
    return dataclasses.replace(task, queries=_POINTS)  # pyright: ignore


def _lifetimes(learner: AbstractLearner, task: AbstractTask, keys: jax.Array) -> tuple:
    """Questions, answers expected, at birth, at the end, then what was met; lifetimes first."""

    def one(key: Key) -> tuple:
        sample_key, life_key = jr.split(key)
        episode: Episode = task.sample(sample_key)
        query, stream = episode.query, episode.stream
        if query is None or stream.y is None:
            return ()
        lived = lifetime(learner, episode, key=life_key)
        birth = learner.birth(key=jr.split(life_key)[0])
        before = learner.predict(birth, learner.perceive(query.x))
        mask = jnp.ones(stream.x.shape[0]) if stream.mask is None else stream.mask
        heard = jnp.where(mask[:, None, None], stream.y, jnp.nan)
        return query.x, query.y, before, lived.answers, stream.x, heard

    return jax.lax.map(one, keys)


def _curves(
    asked: np.ndarray,
    expected: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    *,
    met: int,
) -> list[tuple[np.ndarray, ...]] | None:
    """The curves of one lifetime; None where inputs are no cue and a number."""
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1)
    cues = np.unique(asked[:, :-1], axis=0)[::-1]
    if asked.shape[1] > 1 and not (np.isin(cues, (0, 1)).all() and (cues.sum(1) == 1).all()):
        return None
    found = []
    for cue in cues:
        own = (asked[:, :-1] == cue).all(1)
        order = np.argsort(asked[own, -1])
        curve = [part[own].reshape(-1)[order] for part in (asked[:, -1], expected, before, after)]
        heard = (x[:, :-1] == cue).all(1) & np.isfinite(y)
        found.append((*curve, *_some_of(x[heard, -1], y[heard], met)))
    return found


def _some_of(x: np.ndarray, y: np.ndarray, met: int) -> tuple[np.ndarray, np.ndarray]:
    """Different points, `met` at most, filled up with NaN."""
    points = np.unique(np.stack([x, y], 1), axis=0)
    if len(points) > met:
        points = points[np.linspace(0, len(points) - 1, met).round().astype(int)]
    filled = np.full((met, 2), np.nan)
    filled[: len(points)] = points
    return filled[:, 0], filled[:, 1]
