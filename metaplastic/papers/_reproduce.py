"""Runs a paper's experiments and puts our numbers beside the paper's."""

from typing import Any

from .. import _registry
from .._devices import using
from .._errors import DataError, UsageError, unknown
from ..report.records import RunFolder
from ..train.fit import Reporter
from ._rows import name_subjects, run_arm, why_nothing_ran
from .base import Arm, Experiment, MetaArm, Paper, Scale, StudyArm


def choose(paper: Paper, name: str, experiment: str | None, scale: Scale) -> list[Experiment]:
    """The experiments to run: the one named, or all that exist at this scale.

    Raises `UsageError` for a name that is unknown, or that does not exist at this scale.
    """
    known = {own.name: own for own in paper.experiments}
    if experiment is None:
        return [own for own in paper.experiments if own.arms(scale)]
    if experiment not in known:
        raise unknown(f"experiment of {name}", experiment, known)
    if not known[experiment].arms(scale):
        other = "full" if scale == "quick" else "quick"
        raise UsageError(f"{name}/{experiment} has no scale {scale}: use --scale {other}")
    return [known[experiment]]


def reproduce(
    name: str,
    scale: Scale,
    *,
    experiment: str | None = None,
    seed: int = 0,
    seeds: int | None = None,
    devices: int = 1,
    folder: RunFolder,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Run the experiments of the paper `name` at a scale; the document of `reproduce`.

    An arm whose data cannot be had is reported with the reason instead of a number; raises
    `DataError` where that is true of all. Arms that are done already (in an interrupted run) are
    not run again.
    """
    paper: Paper = _registry.load("papers", name)
    chosen = choose(paper, name, experiment, scale)
    if not folder.config_path.exists():
        config = {"command": "reproduce", "paper": name, "experiment": experiment, "scale": scale}
        folder.write_config({**config, "seed": seed, "seeds": seeds, "devices": devices})
    rows: list[dict[str, Any]] = []
    entries: dict[str, list[dict[str, Any]]] = {"comparison": [], "learners": [], "studies": []}
    for own in chosen:
        for arm in own.arms(scale):
            count = seeds or getattr(arm, "seeds", None) or own.seeds[scale]
            numbers = tuple(range(seed, seed + count))
            with using(devices):
                found, entry = run_arm(own, arm, scale, numbers, folder, reporter)
            rows += found
            if entry is not None:
                entries[_KINDS[type(arm)]].append({**entry, "experiment": own.name})
        if own.subject is not None:
            name_subjects([row for row in rows if row["experiment"] == own.name], own.subject)
    reason = why_nothing_ran(rows)
    if reason is not None:
        raise DataError(reason)
    result = {
        "paper": name,
        "title": paper.title,
        "scale": scale,
        "rows": rows,
        **entries,
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
    config = folder.read_config("paper", "scale", "experiment", "seed", "seeds", "devices")
    return reproduce(
        config["paper"],
        config["scale"],
        experiment=config["experiment"],
        seed=config["seed"],
        seeds=config["seeds"],
        devices=config["devices"],
        folder=folder,
        reporter=reporter,
    )


_KINDS = {Arm: "comparison", MetaArm: "learners", StudyArm: "studies"}
