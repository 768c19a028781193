"""One learner of a comparison: its best learning rate, then all its seeds at that rate."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from .._errors import DivergedError
from ..report.records import RunFolder
from .design import Design, Part, display_name
from .entrant import part
from .fit import Reporter
from .meta_fit import MetaOutcome, meta_fit
from .meta_options import MetaOptions
from .meta_run import test_summary
from .meta_trainer import MetaTrainer

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
    learner has an option `rate`, else of the meta-optimiser; none: the design's own."""
    grid_seeds: int = 1
    """How many of the seeds choose the rate."""
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
    rate, grid = None, []
    if entrant.rates:
        grid = [_try(entrant, own, folder, reporter) for own in entrant.rates]
        fine = [cell for cell in grid if cell["metric"] is not None]
        sign = 1 if _higher_is_better(entrant.design) else -1
        rate = max(fine, key=lambda cell: sign * cell["metric"], default=grid[0])["rate"]
    row = {**_identity(entrant), "best_rate": rate, "grid": grid}
    row |= _train(_at(entrant, rate), part(folder, "final"), reporter)
    folder.write_result(row)
    return row


def _try(
    entrant: MetaEntrant, rate: float, folder: RunFolder, reporter: Reporter | None
) -> dict[str, Any]:
    """One cell of the grid: the metric of meta-training's last tenth."""
    own = dataclasses.replace(_at(entrant, rate), seeds=entrant.seeds[: entrant.grid_seeds])
    row = _train(own, part(folder, f"rate-{rate:g}"), reporter)
    metric = None
    if row["curve"] is not None:
        last = np.asarray(row["curve"]["meta_metric"], np.float64)
        metric = float(last[-max(len(last) // 10, 1) :].mean())
        metric = metric if np.isfinite(metric) else None
    return {"rate": rate, "metric": metric, "diverged": row["diverged"]}


def _train(entrant: MetaEntrant, folder: RunFolder, reporter: Reporter | None) -> dict[str, Any]:
    made = entrant.design.make()
    trainer = MetaTrainer(*made, entrant.options)
    try:
        outcome = meta_fit(
            trainer, entrant.seeds, folder=folder, reporter=reporter, name=entrant.label
        )
    except DivergedError as error:
        return {"test": None, "measure": None, "curve": None, "diverged": str(error)}
    measured = None if entrant.measure is None else entrant.measure(trainer, outcome)
    return {
        "test": test_summary(outcome, trainer),
        "measure": None if measured is None else np.asarray(measured, np.float64).tolist(),
        "curve": _curve(outcome.records),
        "skipped": outcome.records[-1].get("skipped"),
        "meta_parameters": trainer.parameters,
        "seconds": round(outcome.seconds, 3),
        "lifetimes_per_second": round(outcome.lifetimes_per_second, 1),
        "diverged": None,
    }


def _curve(records: list[dict[str, Any]]) -> dict[str, Any]:
    trained = [record for record in records if "meta_loss" in record]
    names = ("step", "meta_loss", "meta_metric")
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
