"""How far what was meta-learned carries: the trained learner under changed designs.

Every variant of a run's design is judged twice on the same lifetimes: with the arrays that the run
has learned, and as its learner is built, untrained.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._devices import even_share
from .._errors import UsageError
from .._json import plain
from .._types import Key
from ..learners.lifetime import Verdict, judge, live
from ..meta.unrolled import Unrolled
from ..report.records import RunFolder
from ..tasks.base import AbstractTask
from ..train.fit import Reporter, Silent
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaReplica, MetaTrainer
from ..train.species import pick
from .intervals import bootstrap_interval
from .trained_run import TrainedRun
from .transplant import Transplanted, free_paths, transplant
from .unrolls import lived_over_moments
from .variants import Variant, changed


class Judged(NamedTuple):
    """Held-out lifetimes of several replicas."""

    loss: jax.Array
    """[replicas, lifetimes]."""
    metric: jax.Array
    """[replicas, lifetimes]."""
    curve: jax.Array | None
    """Metric of the questions at birth and after each moment, mean over lifetimes, [replicas,
    1 + moments]; None where it was not asked for, and for tasks without questions."""


def evaluate(
    run: TrainedRun, variant: Variant, *, lifetimes: int | None = None, fresh: Sequence[str] = ()
) -> dict[str, Any]:
    """One row: the metric of the variant's held-out lifetimes, trained and untrained.

    `{"variant", "changes", "trained", "untrained", "drawn_anew", "curve"}`; `trained` and
    `untrained` are `{"mean", "std", "n", "per_seed", "interval", "not_finite"}`, `curve` the metric
    after each moment, for the design itself and for longer lifetimes. `lifetimes` of a seed are by
    default as many as the run's own test had. Arrays that do not fit are drawn anew where
    meta-training has left them as they were built, where no lifetime depends on them, or where
    `fresh` names them. Raises `UsageError` where anything else does not fit, and for a design that
    cannot be.
    """
    count = lifetimes or run.options.test_lifetimes
    trainer, untrained, moved = prepared(run, variant, fresh=fresh)
    if variant.seen:
        trainer.test_task = trainer.task
    trained = eqx.tree_at(lambda own: own.learner, untrained, moved.learner)
    curve = variant.longer or not (variant.changes or variant.seen)
    judged = _judged(trainer, [trained, untrained], count, curve=curve)
    halves = {"trained": slice(len(run.seeds)), "untrained": slice(len(run.seeds), None)}
    parts = {name: jax.tree.map(itemgetter(half), judged) for name, half in halves.items()}
    return {
        "variant": variant.name,
        "changes": plain(variant.changes),
        **{name: _stats(own) for name, own in parts.items()},
        "drawn_anew": list(moved.anew),
        "curve": None
        if judged.curve is None
        else {name: plain(own.curve) for name, own in parts.items()},
    }


def prepared(
    run: TrainedRun, variant: Variant, *, fresh: Sequence[str] = ()
) -> tuple[MetaTrainer, MetaReplica, Transplanted]:
    """What judges a variant, its untrained replicas, and what was learned in their place.

    Raises `UsageError` as `evaluate` does; lives no lifetime of the variant.
    """
    own = run.options
    options = MetaOptions(
        steps=1, meta_batch=own.meta_batch, species=own.species, parallel=own.parallel
    )
    made = changed(run.design, variant.changes).make()._replace(estimator=Unrolled())
    trainer = MetaTrainer(*made, options)
    untrained = pick(trainer.initial(run.seeds), run.chosen, own.species)
    return trainer, untrained, _transplanted(run, untrained, fresh)


def suite(
    run: TrainedRun,
    chosen: Sequence[Variant],
    *,
    lifetimes: int | None = None,
    fresh: Sequence[str] = (),
    done: Sequence[dict[str, Any]] = (),
    folder: RunFolder | None = None,
    reporter: Reporter | None = None,
) -> list[dict[str, Any]]:
    """The rows of several variants, in their order.

    One that cannot be, or on which what was learned does not fit, is a row whose `refused` is the
    sentence that says so. `folder` keeps every row as soon as it is there; those in `done` are not
    made again.
    """
    reporter, rows = reporter or Silent(), list(done)
    reporter.begin(len(chosen), unit="variants", title="transfer")
    for variant in chosen[len(rows) :]:
        reporter.compiling(variant.name)
        try:
            row = {**evaluate(run, variant, lifetimes=lifetimes, fresh=fresh), "refused": None}
        except UsageError as error:
            row = {
                "variant": variant.name,
                "changes": plain(variant.changes),
                "refused": str(error),
            }
        rows.append(row)
        if folder is not None:
            folder.append_metrics([row])
        trained = row.get("trained") or {}
        shown = {"metric": trained["mean"]} if trained.get("mean") is not None else {}
        reporter.update(len(rows), shown)
    return rows


def _transplanted(run: TrainedRun, untrained: MetaReplica, fresh: Sequence[str]) -> Transplanted:
    first = [jax.tree.map(lambda leaf: leaf[0], own.learner) for own in (run.state, untrained)]
    allowed = (*fresh, *free_paths(first[0], first[1], run.free))
    one = transplant(
        first[0], first[1], fresh=allowed
    )  # of one seed, so that messages show its shapes
    learned = set(one.copied) - run.untouched
    if one.anew or one.dropped:  # else it is the same learner, and what it reads is no matter
        learned -= run.free(learned)
    if not learned:
        raise UsageError(
            "nothing that was learned fits this design, so that the learner would be an untrained "
            f"one: change less ({', '.join(one.anew[:3])} would be drawn anew)"
        )
    return transplant(run.state.learner, untrained.learner, fresh=allowed)


def _judged(
    trainer: MetaTrainer, states: Sequence[MetaReplica], lifetimes: int, *, curve: bool
) -> Judged:
    """Held-out lifetimes of all replicas of some states, in one program; the lifetimes, and their
    keys, are those of `MetaTrainer.test`."""
    task = trainer.test_task
    curve &= jax.eval_shape(task.sample, jr.key(0)).query is not None
    count = trainer.lifetimes(lifetimes)
    together = even_share(count, max(trainer.options.meta_batch, 10))

    def one(replica: MetaReplica, task: AbstractTask) -> Judged:
        learner = trainer.learner(replica)

        def lived(key: Key) -> tuple[Verdict, jax.Array | None]:
            sample_key, life_key = jr.split(key)
            episode = task.sample(sample_key)
            if not curve:
                return live(learner, episode, key=life_key), None
            whole, scores = lived_over_moments(learner, episode, key=life_key)
            return judge(episode, whole), scores

        keys = jr.split(jr.fold_in(replica.key, 1), count)
        verdict, scores = jax.lax.map(lived, keys, batch_size=together)
        return Judged(verdict.loss, verdict.metric, None if scores is None else scores.mean(0))

    @eqx.filter_jit
    def every(state: MetaReplica, task: AbstractTask) -> Judged:
        return jax.lax.map(lambda own: one(own, task), state)

    return every(jax.tree.map(lambda *own: jnp.concatenate(own), *states), task)


def _stats(own: Judged) -> dict[str, Any]:
    """Mean and standard deviation over seeds of the mean over lifetimes, as in a run of `meta`;
    `not_finite` is the part of the lifetimes whose loss is no number."""
    metric = np.asarray(own.metric, np.float64)
    per_seed = metric.mean(-1)
    low, high = bootstrap_interval(metric.reshape(-1))
    return {
        "mean": float(per_seed.mean()),
        "std": float(per_seed.std()),
        "n": len(per_seed),
        "per_seed": per_seed.tolist(),
        "interval": [low, high],
        "not_finite": float((~np.isfinite(np.asarray(own.loss))).mean()),
    }
