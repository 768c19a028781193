"""One rule of a comparison: its best learning rate, then all its seeds at that rate."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..data import Dataset
from ..report.records import RunFolder
from ..rule_file import FiledRule
from ..rules.base import AbstractRule
from .fit import Outcome, Reporter, fit
from .options import TrainOptions
from .rate_grid import best_of, counted, search
from .run import accuracies, formula_of
from .trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Entrant:
    """One rule of a comparison, with the options that it trains under."""

    label: str
    rule: AbstractRule
    options: TrainOptions
    rates: tuple[float, ...]
    """Learning rates to choose from; a single one is taken as it is."""
    seeds: tuple[int, ...]
    grid_seeds: int = 1
    """How many of the seeds choose the rate."""
    grid_epochs: int | None = None
    """Epochs of the runs that choose the rate; all where it is not given."""
    widen: int = 0
    """Rates beyond the ends of `rates` that are tried while the best one lies at an end."""


def compete(
    entrant: Entrant, dataset: Dataset, folder: RunFolder, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Find the entrant's best rate, train all its seeds at it, and return its row.

    `folder` holds the row of an entrant that is done (`result.json`), which is then returned as it
    is, and the checkpoints of one that is not.
    """
    done = folder.read_result()
    if done is not None:
        return done
    rate, grid, outcome = entrant.rates[0], [], None
    options = dataclasses.replace(entrant.options, lr=rate)
    if len(entrant.rates) > 1:
        rate, grid, outcome = _choose_rate(entrant, dataset, folder, reporter)
        options = dataclasses.replace(entrant.options, lr=rate)
    if outcome is None:
        outcome = fit(
            Trainer(entrant.rule, dataset, options),
            entrant.seeds,
            [rate] * len(entrant.seeds),
            folder=_part(folder, "final"),
            reporter=reporter,
            name=f"{entrant.label}, --lr {rate:g}",
            raise_divergence=False,
        )
    row = {**_row(entrant, options, grid, outcome), "classes": dataset.classes}
    folder.write_result(row)
    return row


def _choose_rate(
    entrant: Entrant, dataset: Dataset, folder: RunFolder, reporter: Reporter | None
) -> tuple[float, list[dict[str, Any]], Outcome | None]:
    """`(best rate, grid, outcome)`; the outcome is None unless the grid itself ran all seeds for
    all epochs."""
    epochs = entrant.grid_epochs or entrant.options.epochs
    shrink = epochs / entrant.options.epochs
    options = dataclasses.replace(
        entrant.options,
        epochs=epochs,
        milestones=tuple(m * shrink for m in entrant.options.milestones),
        average_last=min(entrant.options.average_last, epochs),
        validation=entrant.options.validation or 0.1,
        alignment=False,
    )
    seeds = entrant.seeds[: entrant.grid_seeds]
    whole = seeds == entrant.seeds and options == dataclasses.replace(
        entrant.options, alignment=False
    )
    trainer = Trainer(entrant.rule, dataset, entrant.options if whole else options)

    def run(rates: Sequence[float], name: str) -> list[_Tried]:
        outcome = fit(
            trainer,
            [seed for _ in rates for seed in seeds],
            [rate for rate in rates for _ in seeds],
            folder=_part(folder, name),
            reporter=reporter,
            name=f"{entrant.label}, {counted(rates)}",
            raise_divergence=False,
        )
        of = len(rates)
        return [_tried(outcome, trainer.options, rate, i, of) for i, rate in enumerate(rates)]

    tried = search(entrant.rates, entrant.widen, run)
    best = best_of(tried)
    kept = _only(best.outcome, best.place * len(seeds), len(seeds)) if whole else None
    return best.rate, [own.row for own in tried], kept


@dataclasses.dataclass(frozen=True)
class _Tried:
    """A learning rate that was tried."""

    rate: float
    score: float
    """Mean accuracy on the validation set; -inf where a seed diverged."""
    row: dict[str, Any]
    outcome: Outcome
    """Of all rates that were tried with it."""
    place: int
    """Among them."""


def _tried(outcome: Outcome, options: TrainOptions, rate: float, place: int, of: int) -> _Tried:
    """The rate at `place` among `of`, which a run tried together."""
    valid = _last(outcome, "valid_accuracy").reshape(of, -1)[place]
    test = accuracies(outcome, options).reshape(of, -1)[place]
    score = float(np.mean(valid)) if np.isfinite(valid).all() else -np.inf
    row = {
        "lr": rate,
        "valid": _mean(valid),
        "mean": _mean(test),
        "std": _std(test),
        "diverged": int((~np.isfinite(test)).sum()),
    }
    return _Tried(rate, score, row, outcome, place)


def _row(
    entrant: Entrant, options: TrainOptions, grid: list[dict[str, Any]], outcome: Outcome
) -> dict[str, Any]:
    values = accuracies(outcome, options)
    records = outcome.records
    row: dict[str, Any] = {
        **_identity(entrant, outcome),
        "best_lr": options.lr,
        "best_at_edge": bool(grid) and options.lr in (grid[0]["lr"], grid[-1]["lr"]),
        "test_accuracy": {
            "mean": _mean(values),
            "std": _std(values),
            "per_seed": [None if not np.isfinite(v) else float(v) for v in values],
        },
        "diverged": {
            str(entrant.seeds[replica]): f"{own.what} is {own.value} at step {own.step}"
            for replica, own in outcome.diverged.items()
        },
        "curve": {
            "epoch": [record["epoch"] for record in records],
            "test_accuracy": [record["test_accuracy"] for record in records],
        },
        "first_decay": min(options.milestones, default=None)
        if options.schedule == "step"
        else None,
        "grid": grid,
        "seconds": round(outcome.seconds, 3),
    }
    for name in ("update_angle", "delta_angle", "weight_angle"):
        if records and name in records[0]:
            row[name] = {
                layer: [record[name][layer] for record in records] for layer in records[0][name]
            }
    return row


def _identity(entrant: Entrant, outcome: Outcome) -> dict[str, Any]:
    """What a row says of its rule; of a rule file the rule inside, its formula and its sha256."""
    filed = entrant.rule if isinstance(entrant.rule, FiledRule) else None
    rule = entrant.rule if filed is None else filed.rule
    found: dict[str, Any] = {
        "rule": entrant.label,
        "name": type(rule).__module__.rpartition(".")[2],
        "fields": {own.name: getattr(rule, own.name) for own in dataclasses.fields(rule)},
    }
    if filed is not None:
        found |= {"formula": formula_of(filed, outcome), "sha256": filed.file.sha256}
    return found


def _part(folder: RunFolder, name: str) -> RunFolder:
    """A folder inside a run, for a piece of it; the run's lock covers it."""
    path = folder.path / name
    path.mkdir(parents=True, exist_ok=True)
    return RunFolder(path, None)


def part(folder: RunFolder, name: str) -> RunFolder:
    """The folder of a named piece of a run."""
    return _part(folder, f"parts/{part_name(name)}")


def part_name(name: str) -> str:
    """The name with letters replaced that file names cannot hold."""
    return "".join(c if c.isalnum() or c in "._-=," else "_" for c in name)


def _last(outcome: Outcome, name: str) -> np.ndarray:
    values = np.asarray(outcome.records[-1][name], np.float64).copy()
    values[list(outcome.diverged)] = np.nan
    return values


def _only(outcome: Outcome, first: int, count: int) -> Outcome:
    """The outcome of some of its replicas."""

    def cut(value: Any) -> Any:
        if isinstance(value, list):
            return value[first : first + count]
        return {k: cut(v) for k, v in value.items()} if isinstance(value, dict) else value

    diverged = {
        replica - first: own
        for replica, own in outcome.diverged.items()
        if first <= replica < first + count
    }
    return dataclasses.replace(
        outcome,
        records=[cut(record) for record in outcome.records],
        state=jax.tree.map(lambda leaf: leaf[first : first + count], outcome.state),
        diverged=diverged,
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size and np.isfinite(values).all() else None


def _std(values: np.ndarray) -> float | None:
    return float(values.std()) if values.size and np.isfinite(values).all() else None
