"""Rules over random feedback: which terms survive, and what a rule does to a lifetime."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._types import Key
from ..analysis.orthonormality import orthonormality
from ..learners.lifetime import moments, stepper
from ..learners.online import OnlineLearner
from ..learners.paths import matches
from ..models import plastic_layers
from ..report.records import RunFolder
from ..rules._learned_feedback import backpropagated
from ..rules.pool import Pool
from ..tasks.base import AbstractTask, Episode
from ..train.design import Design
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from ._meta_trained import meta_trained
from ._pool_designs import NORMS
from .base import Found, Study

_COEFFICIENTS = "state.coefficients."
_POINTS, _LIFETIMES = 25, 20


# Coefficients


def survivors(design: Design, options: MetaOptions, name: str) -> Study:
    """The accuracy of a pool, and which of its terms survive in how many seeds; its coefficients
    from meta-step to meta-step.

    Adam's steps are about as long as the learning rate whatever the gradient, so that a coefficient
    that is held at zero trembles by a few of them: a term has survived where, over the last tenth
    of meta-training, its mean is more than ten learning rates from zero.
    """

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        _, outcome = meta_trained(design, options, seeds, folder, reporter, name=name)
        records = [own for own in outcome.records if own.get("values")]
        values = {
            path.removeprefix(_COEFFICIENTS): [own["values"][path] for own in records]
            for path in records[0]["values"]
        }
        alive = {own: _alive(values[own], own, options) for own in values}
        data = {
            "steps": [own["step"] for own in records],
            "values": values,
            "norms": {own: NORMS[own] for own in values},
            "survivors": [own for own in values if alive[own].mean() > 0.5],
            "survives": {own: alive[own].tolist() for own in values},
            "skipped": outcome.records[-1]["skipped"],
            "accuracy": [own["meta_metric"] for own in outcome.records if "meta_metric" in own],
        }
        count = np.stack(list(alive.values())).sum(0).astype(np.float64)
        some = {f"{own} survives": alive[own] for own in sorted(values) if alive[own].any()}
        rows = {"": outcome.test.mean(-1), "survivors": count}
        rows |= {name: own.astype(np.float64) for name, own in some.items()}
        metrics = {"survivors": f"terms of {len(values)}", **dict.fromkeys(some, "part of seeds")}
        last = {own: np.asarray(values[own][-1], np.float64) for own in values if alive[own].any()}
        thetas = _thetas(last)
        rows, metrics = rows | thetas, metrics | dict.fromkeys(thetas, "coefficient")
        return Found(rows, data, metrics)

    return study


def _alive(values: Sequence[Any], name: str, options: MetaOptions) -> np.ndarray:
    """Whether the term has survived, [seeds]."""
    path = _COEFFICIENTS + name
    rates = [own.rate for own in options.groups() if matches(path, own.path)]
    rate = rates[0] if rates else options.lr
    last = np.asarray(values[-max(len(values) // 10, 1) :], np.float64)
    return np.abs(last.mean(0)) > 10 * rate


def _thetas(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Rows of the coefficients at the end of meta-training, [seeds]; means of those of a layer or
    a synapse."""
    own = {name: np.asarray(value, np.float64) for name, value in sorted(values.items())}
    return {f"theta of {name}": v.reshape(len(v), -1).mean(-1) for name, v in own.items()}


# A lifetime


class Point(NamedTuple):
    """What is measured at one moment of a lifetime, on its questions."""

    angle: jax.Array
    """Degrees between the errors of feedback and of backpropagation, mean over examples,
    [hidden layers]."""
    defect: jax.Array
    """|z - W W^T y|^2, the mean over examples, [layers]; 0 where W W^T = 1."""
    accuracy: jax.Array
    """Of the questions."""


def measured(learner: OnlineLearner, episode: Episode, *, key: Key) -> Point:
    """A lifetime measured at 25 points, the last of them its end; points first."""
    birth_key, step_key = jr.split(key)
    live = stepper(learner, key=step_key)
    query = episode.query
    assert query is not None
    asked = learner.perceive(query.x)

    def point(life: Any) -> Point:
        rule, model = learner.rule, learner.network(life)
        assert isinstance(rule, Pool)
        seen = rule.seen(model, life.rule, asked, query.y, key=step_key)
        trace = model.trace(asked, key=step_key)
        truth = backpropagated(model, trace, rule._loss.error(trace.output, query.y))
        pairs = zip(seen[:-1], truth[:-1], strict=True)
        angle = jnp.stack([_angle(own.e, true) for own, true in pairs])
        defect = orthonormality(model, asked).residual
        return Point(angle, defect, episode.criterion.score(trace.output, query.y).mean())

    def block(life: Any, some: Any) -> tuple[Any, Point]:
        life = jax.lax.scan(live, life, some)[0]
        return life, point(life)

    stream = moments(learner, episode.stream)
    blocks = jax.tree.map(lambda leaf: leaf.reshape(_POINTS, -1, *leaf.shape[1:]), stream)
    return jax.lax.scan(block, learner.birth(key=birth_key), blocks)[1]


def _angle(a: jax.Array, b: jax.Array) -> jax.Array:
    a, b = (own.reshape(own.shape[0], -1) for own in (a, b))
    norms = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
    cosine = (a * b).sum(-1) / jnp.maximum(norms, 1e-30)
    return jnp.degrees(jnp.arccos(jnp.clip(cosine, -1, 1))).mean()


def in_a_lifetime(design: Design, options: MetaOptions, name: str) -> Study:
    """Angles of errors and orthonormality of weights over held-out lifetimes of a learned rule."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        learned = meta_trained(design, options, seeds, folder, reporter, name=name)
        trainer, outcome = learned

        @eqx.filter_jit
        def sample(learner: OnlineLearner, task: AbstractTask, keys: jax.Array) -> Point:
            def one(key: Key) -> Point:
                sample_key, life_key = jr.split(key)
                return measured(learner, task.sample(sample_key), key=life_key)

            return jax.tree.map(lambda leaf: leaf.mean(0), jax.lax.map(one, keys))

        found = []
        for replica in learned.replicas():
            learner = trainer.learner(replica)
            keys = jr.split(jr.fold_in(replica.key, 3), _LIFETIMES)
            found.append(jax.device_get(sample(learner, trainer.test_task, keys)))
        angle, defect, accuracy = (np.stack(own) for own in zip(*found, strict=True))
        episode = eqx.filter_eval_shape(trainer.task.sample, jr.key(0))
        length = episode.stream.x.shape[0]
        data = {
            "moment": [length // _POINTS * (i + 1) for i in range(_POINTS)],
            "angle": angle.mean(0).tolist(),
            "defect": defect.mean(0).tolist(),
            "accuracy": accuracy.mean(0).tolist(),
            "coefficients": {
                path: np.asarray(own).mean(0).tolist()
                for path, own in outcome.state.learner.state.coefficients.items()
            },
        }
        layers = len(plastic_layers(trainer.learner(outcome.state, 0).model))
        angles = {f"angle of layer {i + 1}": angle[:, -1, i] for i in range(layers - 1)}
        defects = {f"weights of layer {i + 1}": defect[:, -1, i] for i in range(layers)}
        thetas = _thetas(outcome.state.learner.state.coefficients)
        rows = {"": outcome.test.mean(-1), **angles, **thetas, **defects}
        metrics = dict.fromkeys(angles, "degrees to backpropagation")
        metrics |= dict.fromkeys(thetas, "coefficient")
        metrics |= dict.fromkeys(defects, "|z - W W^T y|^2")
        return Found(rows, data, metrics)

    return study
