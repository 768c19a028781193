"""One learner of a comparison: its best learning rate, then all its seeds at that rate."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import DivergedError, UsageError
from ..report.records import RunFolder
from .design import Design, Part, display_name
from .entrant import part
from .fit import Reporter
from .meta_fit import MetaOutcome, meta_fit
from .meta_options import MetaOptions
from .meta_portrait import write_portrait
from .meta_run import test_summary
from .meta_trainer import MetaTrainer
from .rate_grid import best_of, counted, search

Measure = Callable[[MetaTrainer, MetaOutcome], np.ndarray]
"""What is reported of a run instead of the test's metric: one number a seed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaEntrant:
    """One learner of a comparison, with the options that it is meta-trained under."""

    label: str
    design: Design
    options: MetaOptions
    seeds: tuple[int, ...]
    rates: tuple[float, ...] = ()
    """Rates to choose from by the metric at the end of meta-training: of the lifetime, where the
    learner has an option `rate`, else of the meta-optimiser; a single one is taken as it is; none:
    the design's own."""
    grid_seeds: int = 1
    """How many of the seeds choose the rate."""
    widen: int = 0
    """Rates beyond the ends of `rates` that are tried while the best one lies at an end."""
    measure: Measure | None = None


def meta_compete(
    entrant: MetaEntrant, folder: RunFolder, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Find the entrant's best rate, meta-train all its seeds at it, and return its row.

    `folder` holds the row of an entrant that is done (`result.json`), which is then returned as it
    is, and the checkpoints of one that is not.
    """
    done = folder.read_result()
    if done is not None:
        return done
    entrant.options.check()
    rate, grid = entrant.rates[0] if entrant.rates else None, []
    if len(entrant.rates) > 1:
        run = _lifetime_rates if has_rate(entrant.design) else _meta_rates
        grid = search(entrant.rates, entrant.widen, run(entrant, folder, reporter))
        rate = best_of(grid).rate
    cells = [{"rate": own.rate, "metric": own.metric} for own in grid]
    row = {**_identity(entrant), "best_rate": rate, "grid": cells}
    row |= _train(_at(entrant, rate), part(folder, "final"), reporter, final=True)
    folder.write_result(row)
    return row


@dataclasses.dataclass(frozen=True)
class _Tried:
    """A learning rate that was tried."""

    rate: float
    metric: float | None
    """Of the last tenth of meta-training, mean over seeds; None where one diverged."""
    score: float


def _tried(entrant: MetaEntrant, rate: float, metric: float) -> _Tried:
    if not np.isfinite(metric):
        return _Tried(rate, None, -np.inf)
    return _Tried(rate, metric, metric if _higher_is_better(entrant.design) else -metric)


def _lifetime_rates(
    entrant: MetaEntrant, folder: RunFolder, reporter: Reporter | None
) -> Callable[[Sequence[float], str], list[_Tried]]:
    """A grid over the lifetime's rate, all of it in one program."""
    seeds = entrant.seeds[: entrant.grid_seeds]
    options = dataclasses.replace(entrant.options, non_finite="skip", test_every=None)
    trainer = MetaTrainer(*_at(entrant, entrant.rates[0]).design.make(), options, vary="rate")

    def run(rates: Sequence[float], name: str) -> list[_Tried]:
        outcome = meta_fit(
            trainer,
            seeds * len(rates),
            values=[rate for rate in rates for _ in seeds],
            folder=part(folder, name),
            reporter=reporter,
            name=f"{entrant.label}, {counted(rates)}",
        )
        metrics = _last_tenth(_curve(outcome.records)).reshape(len(rates), -1).mean(1)
        return [_tried(entrant, rate, float(own)) for rate, own in zip(rates, metrics, strict=True)]

    return run


def _meta_rates(
    entrant: MetaEntrant, folder: RunFolder, reporter: Reporter | None
) -> Callable[[Sequence[float], str], list[_Tried]]:
    """A grid over the meta-optimiser's rate, one run after the other."""

    def one(rate: float) -> _Tried:
        own = dataclasses.replace(_at(entrant, rate), seeds=entrant.seeds[: entrant.grid_seeds])
        row = _train(own, part(folder, f"rate-{rate:g}"), reporter)
        metric = np.nan if row["curve"] is None else float(_last_tenth(row["curve"]).mean())
        return _tried(entrant, rate, metric)

    return lambda rates, name: [one(rate) for rate in rates]


def _last_tenth(curve: dict[str, Any]) -> np.ndarray:
    """Metric of the last tenth of meta-training, one a replica."""
    metric = np.asarray(curve["meta_metric"], np.float64)
    return metric[-max(len(metric) // 10, 1) :].mean(0)


def _train(
    entrant: MetaEntrant, folder: RunFolder, reporter: Reporter | None, *, final: bool = False
) -> dict[str, Any]:
    made = entrant.design.make()
    trainer = MetaTrainer(*made, entrant.options)
    try:
        outcome = meta_fit(
            trainer, entrant.seeds, folder=folder, reporter=reporter, name=entrant.label
        )
    except DivergedError as error:
        return {"test": None, "measure": None, "curve": None, "diverged": str(error)}
    gradient = None
    if final:  # nobody looks at what a grid leaves
        gradient = _gradient_report(trainer, entrant)
        write_portrait(trainer, outcome.state, entrant.seeds, outcome.test, folder, reporter)
    measured = None if entrant.measure is None else entrant.measure(trainer, outcome)
    return {
        "test": test_summary(outcome, trainer),
        "measure": None if measured is None else np.asarray(measured, np.float64).tolist(),
        "curve": _curve(outcome.records),
        "gradient": gradient,
        "skipped": outcome.records[-1].get("skipped"),
        "warning": outcome.warning,
        "meta_parameters": trainer.parameters,
        "seconds": round(outcome.seconds, 3),
        "lifetimes": _lifetimes(trainer, entrant),
        "lifetimes_per_second": round(outcome.lifetimes_per_second, 1),
        "diverged": None,
    }


def _lifetimes(trainer: MetaTrainer, entrant: MetaEntrant) -> int:
    """Of all meta-steps, species and seeds."""
    options = entrant.options
    batches = -(-options.steps // trainer.turns)
    return batches * trainer.lifetimes() * options.species * len(entrant.seeds)


def _gradient_report(trainer: MetaTrainer, entrant: MetaEntrant) -> dict[str, Any] | None:
    """Error, time and memory of the first meta-gradient, where lifetimes settle; `no_reference`
    says why there is no error."""
    from ..analysis.meta_gradients import exact_gradient, gradient_reports, is_small
    from ..learners.bilevel import AbstractBilevelLearner

    state = trainer.initial(entrant.seeds[:1])
    replica = jax.tree.map(lambda leaf: leaf[0], state)
    learner = trainer.learner(replica)
    if not isinstance(learner, AbstractBilevelLearner):
        return None
    episodes, key = trainer.episodes(trainer.task, replica, jnp.int32(0))
    options = {"key": key, "where": trainer.where}
    exact, missing = None, {}
    try:
        exact = exact_gradient(learner, episodes, **options)
    except UsageError as error:
        missing = {"no_reference": str(error)}
    if not is_small(learner):
        return missing
    estimators = {"own": trainer.estimator}
    report = gradient_reports(estimators, learner, episodes, exact=exact, **options)["own"]
    return {**report._asdict(), **missing}


def _curve(records: list[dict[str, Any]]) -> dict[str, Any]:
    trained = [record for record in records if "meta_loss" in record]
    names = ["step", "meta_loss", "meta_metric", "seconds"]
    if all("values" in record for record in trained):
        names.append("values")
    return {name: [record[name] for record in trained] for name in names}


def _at(entrant: MetaEntrant, rate: float | None) -> MetaEntrant:
    if rate is None:
        return entrant
    design = entrant.design
    if not has_rate(design):
        return dataclasses.replace(entrant, options=dataclasses.replace(entrant.options, lr=rate))
    learner = Part(design.learner.name, {**design.learner.fields, "rate": rate})
    return dataclasses.replace(entrant, design=dataclasses.replace(design, learner=learner))


def has_rate(design: Design) -> bool:
    """Does the learner have a learning rate of its own within the lifetime?"""
    import inspect

    from .. import _registry

    builder = _registry.load("learners", design.learner.name)
    return "rate" in inspect.signature(builder).parameters


def _higher_is_better(design: Design) -> bool:
    from .. import _registry

    return _registry.load("tasks", design.task.name).criterion.higher_is_better


def _identity(entrant: MetaEntrant) -> dict[str, Any]:
    design = entrant.design
    return {
        "label": entrant.label,
        "learner": display_name("learner", design.learner),
        "rule": None if design.rule is None else display_name("rule", design.rule),
        "task": display_name("task", design.task),
        "estimator": display_name("estimator", design.estimator),
        "rate_of": "the lifetime" if has_rate(design) else "the meta-optimiser",
    }
