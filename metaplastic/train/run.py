"""One training run from its options to its result: what `metaplastic train` and `resume` do."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .. import _registry, data
from .._devices import check_share
from .._errors import UsageError
from .._files import write_atomic
from .._hints import restored
from .._rule_card import absolute, needed_of
from ..report.records import RunFolder
from ..rule_file import FiledRule, load as load_rule_file
from ..rules.base import AbstractRule
from .fit import Outcome, Reporter, fit
from .options import TrainOptions
from .trainer import Trainer

FILE = "rule.safetensors"
"""A run's copy of the rule file that it was started with."""


def describe_rule(
    name: str, rule: AbstractRule, *, own: Sequence[str] = (), copy: str = FILE
) -> dict[str, Any]:
    """A rule as a record: where it is found and the values of its fields.

    Of a rule file: `copy`, where the run folder has one (`keep_rule`), and those of `own`, files of
    one's own, that it needs.
    """
    if isinstance(rule, FiledRule):
        needed = [absolute(given) for given in needed_of(rule.file.card, own)]
        return {"name": name, "file": copy, "sha256": rule.file.sha256, "own": needed}
    fields = {f.name: getattr(rule, f.name) for f in dataclasses.fields(rule) if f.init}
    entry = _registry.describe("rules", name)
    return {"name": entry.name, "spec": entry.spec, "fields": fields}


def keep_rule(rule: AbstractRule, record: Mapping[str, Any], folder: RunFolder) -> None:
    """Copy the file of a rule that came from one to where its record says."""
    if isinstance(rule, FiledRule):
        write_atomic(folder.path / record["file"], rule.file.data, run=folder.path)


def restore_rule(record: Mapping[str, Any], folder: RunFolder) -> AbstractRule:
    """The rule of a record. Raises `UsageError` where it is gone or has other fields now.

    `folder` is the run's, which holds a copy of the rule file that it was started with.
    """
    if "file" in record:
        return _restore_file(record, folder)
    rule_class = _registry.load("rules", record["spec"])
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in record["fields"].items()}
    try:
        return rule_class(**fields)
    except TypeError as error:
        raise UsageError(
            f"the rule {record['name']} has changed since this run was made ({error}): "
            "start a new run"
        ) from error


def _restore_file(record: Mapping[str, Any], folder: RunFolder) -> FiledRule:
    rule = load_rule_file(folder.path / record["file"], own=record["own"])
    if rule.file.sha256 != record["sha256"]:
        raise UsageError(
            f"{rule.file.path} is not the rule file that {folder.path} was started with "
            f"(sha256 {rule.file.sha256[:12]}, recorded {record['sha256'][:12]}): "
            "restore it from a copy, or start a new run"
        )
    return rule


def run(
    name: str,
    rule: AbstractRule,
    options: TrainOptions,
    *,
    seed: int = 0,
    seeds: int = 1,
    control: bool = False,
    own: Sequence[str] = (),
    folder: RunFolder,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Train, record, and return the result (the JSON document of `metaplastic train`).

    Writes the configuration before the first step, so that the run can be resumed whatever
    happens to it. With `control`, the same network with its hidden layers frozen is trained too.
    `own`: files of one's own that a rule file needs.
    """
    dataset = data.load(options.data)
    config = {
        "command": "train",
        "rule": describe_rule(name, rule, own=own),
        "options": dataclasses.asdict(options),
        "seeds": list(range(seed, seed + seeds)),
        "control": control,
        "data": dataset.record(),
        "protocol": protocol(options),
    }
    trainer = Trainer(rule, dataset, options)  # before the record: it checks the options
    check_share(options.devices, seeds)
    keep_rule(rule, config["rule"], folder)
    folder.write_config(config)
    return _run(config, trainer, folder, reporter)


def resume(folder: RunFolder, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """Go on with the run of a folder from its newest checkpoint; its result, if it is done.

    Raises `UsageError` where the data are not those of the run.
    """
    done = folder.read_result()
    if done is not None:
        return done
    config = folder.read_config("rule", "options", "seeds", "data", "control", "protocol")
    dataset = require_same_data(config, folder)
    rule = restore_rule(config["rule"], folder)
    trainer = Trainer(rule, dataset, restore_options(config["options"]))
    return _run(config, trainer, folder, reporter)


def require_same_data(config: Mapping[str, Any], folder: RunFolder) -> data.Dataset:
    """The data of a run. Raises `UsageError` where they are not what it was started with."""
    dataset = data.load(config["options"]["data"])
    if dataset.sha256 != config["data"]["sha256"]:
        raise UsageError(
            f"{dataset.source} is not the data that {folder.path} was started with "
            f"(sha256 {dataset.sha256[:12]}, recorded {config['data']['sha256'][:12]}): "
            "restore the old data, or start a new run"
        )
    return dataset


def restore_options(record: Mapping[str, Any]) -> TrainOptions:
    """The options of a record. Raises `UsageError` where they are not."""
    return restored(TrainOptions, record)


def _run(
    config: Mapping[str, Any], trainer: Trainer, folder: RunFolder, reporter: Reporter | None
) -> dict[str, Any]:
    name, seeds, options = config["rule"]["name"], config["seeds"], trainer.options
    rates = [options.lr] * len(seeds)
    outcome = fit(trainer, seeds, rates, folder=folder, reporter=reporter, name=name)
    control = None
    if config["control"]:
        from ..rules.shallow import Shallow

        loss: Any = trainer.rule.loss
        frozen = Trainer(Shallow(loss=loss), data.load(options.data), options)
        control_outcome = fit(frozen, seeds, rates, reporter=reporter, name="shallow")
        control = {"rule": "shallow", "test_accuracy": summary(control_outcome, options)}
    result = {
        "rule": name,
        "formula": formula_of(trainer.rule, outcome),
        "data": config["data"]["name"],
        "model": options.model,
        "seeds": seeds,
        "test_accuracy": summary(outcome, options),
        "control": control,
        "seconds": round(outcome.seconds, 3),
        "samples_per_second": round(outcome.samples_per_second, 1),
        "protocol": config["protocol"],
        "run": str(folder.path),
    }
    folder.write_result(result)
    return result


def formula_of(rule: AbstractRule, outcome: Outcome) -> str | None:
    """The rule of a rule file with its coefficients, from the file's values; None of others."""
    if not isinstance(rule, FiledRule):
        return None
    return rule.formula(jax.tree.map(lambda leaf: leaf[0], outcome.state.rule))


def protocol(options: TrainOptions) -> dict[str, Any]:
    """How the reported accuracy comes about; rows that differ here must not be compared."""
    if options.select == "best":
        selection = "test accuracy at the epoch of the best validation accuracy"
    elif options.average_last > 1:
        selection = f"mean test accuracy of the last {options.average_last} epochs"
    else:
        selection = "test accuracy after the last epoch"
    return {
        "selection": selection,
        "validation": options.validation,
        "normalisation": options.norm or "the network's own",
        "incomplete_batches": "skipped",
        "std": "population standard deviation over seeds",
    }


def accuracies(outcome: Outcome, options: TrainOptions) -> np.ndarray:
    """The reported accuracy of each replica; NaN where it diverged."""
    epochs = [record for record in outcome.records if record["epoch"] > 0]
    if not epochs:
        return np.full(len(outcome.state.rate), np.nan)
    test = np.asarray([record["test_accuracy"] for record in epochs])
    if options.select == "best":
        valid = np.asarray([record["valid_accuracy"] for record in epochs])
        values = np.take_along_axis(test, valid.argmax(0)[None], 0)[0]
    else:
        values = test[-options.average_last :].mean(0)
    values = values.copy()
    values[list(outcome.diverged)] = np.nan
    return values


def summary(outcome: Outcome, options: TrainOptions) -> dict[str, Any]:
    """`{"mean", "std", "per_seed"}` of the reported accuracy."""
    values = accuracies(outcome, options)
    return {
        "mean": float(values.mean()),
        "std": float(values.std()),
        "per_seed": values.tolist(),
    }
