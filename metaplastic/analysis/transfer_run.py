"""One run of `metaplastic transfer`, from a finished meta-training run to its result."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..report.records import RunFolder
from ..train.design import Part, display_name
from ..train.fit import Reporter
from ..train.meta_run import label
from .trained_run import TrainedRun, read_trained
from .transfer import prepared, suite
from .variants import Variant, variants

PROTOCOL = {
    "test": "lifetimes of the changed task's held-out part, the same for the trained and the "
    "untrained learner",
    "untrained": "the learner as it is built from the same seed",
    "std": "population standard deviation over seeds of the mean over lifetimes",
    "interval": "95 % bootstrap of the mean over all lifetimes",
}


def run(
    source: RunFolder,
    trained: TrainedRun,
    *,
    changes: Mapping[str, Any] | None = None,
    standard: bool = True,
    lifetimes: int | None = None,
    fresh: Sequence[str] = (),
    folder: RunFolder,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Judge the learner of `source` as trained, under `changes`, and under the standard variants
    of its design; record, and return the result (the JSON document of `metaplastic transfer`).

    Raises `UsageError` where what was learned does not fit the changes that were asked for.
    """
    chosen = variants(trained.design) if standard else [Variant("as trained")]
    if changes:
        name = ", ".join(f"{option} {_text(value)}" for option, value in changes.items())
        longer = any(option.startswith("task") for option in changes)
        chosen.insert(1, Variant(name, changes, longer=longer))
        prepared(trained, chosen[1], fresh=fresh)  # what was asked for must be possible
    folder.write_config(
        {
            "command": "transfer",
            "source": str(source.path.absolute()),
            "design": trained.design.record(),
            "variants": chosen,
            "options": {"lifetimes": lifetimes, "fresh": list(fresh)},
            "seeds": trained.seeds,
            "data": source.read_config()["data"],
            "protocol": PROTOCOL,
        }
    )
    return _run(trained, chosen, folder, reporter)


def resume(folder: RunFolder, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """Go on with the run of a folder after the variants that it has done."""
    result = folder.read_result()
    if result is not None:
        return result
    config = folder.read_config("source", "variants", "options")
    trained = read_trained(RunFolder.open(config["source"]))
    return _run(trained, [_restored(own) for own in config["variants"]], folder, reporter)


def _run(
    trained: TrainedRun, chosen: Sequence[Variant], folder: RunFolder, reporter: Reporter | None
) -> dict[str, Any]:
    config, design = folder.read_config(), trained.design
    rows = suite(
        trained,
        chosen,
        lifetimes=config["options"]["lifetimes"],
        fresh=config["options"]["fresh"],
        done=folder.read_metrics(),
        folder=folder,
        reporter=reporter,
    )
    criterion = trained.criterion
    about = {"metric": criterion.metric, "higher_is_better": criterion.higher_is_better}
    study = {"experiment": "transfer", "figure": "transfer", "label": label(design)}
    result = {
        "learner": display_name("learner", design.learner),
        "rule": None if design.rule is None else display_name("rule", design.rule),
        "task": display_name("task", design.task),
        **about,
        "seeds": list(trained.seeds),
        "lifetimes": config["options"]["lifetimes"] or trained.options.test_lifetimes,
        "variants": rows,
        "studies": [{**study, "data": {**about, "variants": rows}}],
        "protocol": PROTOCOL,
        "source": config["source"],
        "run": str(folder.path),
    }
    folder.write_result(result)
    return result


def _restored(record: Mapping[str, Any]) -> Variant:
    changes = {
        option: Part(value["name"], _tuples(value["fields"]))
        if isinstance(value, Mapping)
        else _tuple(value)
        for option, value in record["changes"].items()
    }
    return Variant(record["name"], changes, seen=record["seen"], longer=record["longer"])


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tuple(value) for name, value in fields.items()}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, Part):
        return value.name
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
