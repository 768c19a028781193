"""Runs a paper's experiments and puts our numbers beside the paper's."""

import dataclasses
from typing import Any

from .. import _registry, data
from .._errors import DataError, unknown
from ..report.records import RunFolder
from ..train.entrant import Entrant, compete, part
from ..train.fit import Reporter
from .base import Arm, Experiment, Paper, Scale


def choose(paper: Paper, name: str, experiment: str | None, scale: Scale) -> list[Experiment]:
    """The experiments to run: the one named, or all that exist at this scale."""
    known = {own.name: own for own in paper.experiments}
    if experiment is None:
        return [own for own in paper.experiments if own.arms(scale)]
    if experiment not in known:
        raise unknown(f"experiment of {name}", experiment, known)
    return [known[experiment]]


def reproduce(
    name: str,
    scale: Scale,
    *,
    experiment: str | None = None,
    seed: int = 0,
    seeds: int | None = None,
    folder: RunFolder,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Run the experiments of the paper `name` at a scale; the document of `reproduce`.

    An arm whose data cannot be had is reported with the reason instead of a number. Arms that are
    done already (in an interrupted run) are not run again.
    """
    paper: Paper = _registry.load("papers", name)
    chosen = choose(paper, name, experiment, scale)
    if not folder.config_path.exists():
        config = {"command": "reproduce", "paper": name, "experiment": experiment, "scale": scale}
        folder.write_config({**config, "seed": seed, "seeds": seeds})
    rows, comparison = [], []
    for own in chosen:
        numbers = range(seed, seed + (seeds or own.seeds[scale]))
        for arm in own.arms(scale):
            row, entry = _run_arm(own, arm, scale, tuple(numbers), folder, reporter)
            rows.append(row)
            if entry is not None:
                comparison.append({**entry, "experiment": own.name})
    result = {
        "paper": name,
        "title": paper.title,
        "scale": scale,
        "rows": rows,
        "comparison": comparison,
        "protocols": {own.name: own.protocol for own in chosen},
        "run": str(folder.path),
    }
    folder.write_result(result)
    return result


def resume(folder: RunFolder, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """Go on with an interrupted reproduction; its result, if it is done."""
    done = folder.read_result()
    if done is not None:
        return done
    config = folder.read_config("paper", "scale", "experiment", "seed", "seeds")
    return reproduce(
        config["paper"],
        config["scale"],
        experiment=config["experiment"],
        seed=config["seed"],
        seeds=config["seeds"],
        folder=folder,
        reporter=reporter,
    )


def _run_arm(
    experiment: Experiment,
    arm: Arm,
    scale: Scale,
    seeds: tuple[int, ...],
    folder: RunFolder,
    reporter: Reporter | None,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    row: dict[str, Any] = {
        "experiment": experiment.name,
        "setting": arm.setting,
        "metric": experiment.metric,
        "ours": None,
        "paper": None if arm.reported is None else dataclasses.asdict(arm.reported),
        "verdict": None,
    }
    try:
        dataset = data.load(arm.options.data)
    except DataError as error:
        return {**row, "verdict": f"not run: {error}"}, None
    entrant = Entrant(
        label=arm.setting,
        rule=_registry.load("rules", arm.rule)(**arm.fields),
        options=arm.options,
        rates=arm.rates,
        seeds=seeds,
        grid_epochs=experiment.grid_epochs[scale],
    )
    entry = compete(entrant, dataset, part(folder, f"{experiment.name}-{arm.setting}"), reporter)
    accuracy = entry["test_accuracy"]
    if accuracy["mean"] is None:
        return {**row, "verdict": "diverged"}, entry
    mean = 1 - accuracy["mean"] if "error" in experiment.metric else accuracy["mean"]
    row["ours"] = {
        "mean": 100 * mean,
        "std": 100 * accuracy["std"],
        "n": len(accuracy["per_seed"]),
    }
    return {**row, "verdict": _verdict(row)}, entry


def _verdict(row: dict[str, Any]) -> str | None:
    from ..report.tables import verdict

    return verdict(row["ours"], row["paper"], higher_is_better="error" not in row["metric"])
