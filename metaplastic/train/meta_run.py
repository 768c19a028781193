"""One meta-training run from its options to its result: `metaplastic meta` and `resume`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._hints import restored
from ..meta.base import AbstractSearch
from ..report.records import RunFolder
from .design import Design, Made, display_name, restore_design
from .fit import Reporter
from .meta_fit import MetaOutcome, meta_fit
from .meta_options import MetaOptions
from .meta_portrait import write_portrait
from .meta_rule import write_rule
from .meta_trainer import MetaTrainer


def run(
    design: Design,
    options: MetaOptions,
    *,
    seed: int = 0,
    seeds: int = 1,
    folder: RunFolder,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Meta-train, record, and return the result (the JSON document of `metaplastic meta`).

    Writes the configuration before the first meta-step, so that the run can be resumed whatever
    happens to it.
    """
    options.check()  # before anything of JAX: it divides the CPU into devices
    made = design.make()
    trainer = MetaTrainer(*made, options)  # before the record: it checks the options
    if isinstance(made.estimator, AbstractSearch):
        options.check_search(type(made.estimator).__name__, alone=True)
    trainer.check()
    trainer.check_devices(seeds)
    config = {
        "command": "meta",
        "design": design.record(),
        "options": dataclasses.asdict(options),
        "seeds": list(range(seed, seed + seeds)),
        "data": data_record(made),
        "protocol": protocol(options),
    }
    folder.write_config(config)
    return _run(config, design, trainer, folder, reporter)


def resume(folder: RunFolder, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """Go on with the run of a folder from its newest checkpoint; its result, if it is done.

    Raises `UsageError` where the data are not those of the run.
    """
    done = folder.read_result()
    if done is not None:
        return done
    config = folder.read_config("design", "options", "seeds", "data", "protocol")
    design = restore_design(config["design"])
    options = restore_meta_options(config["options"])
    options.check()
    made = design.make()
    require_same_data(config, made, folder)
    trainer = MetaTrainer(*made, options)
    return _run(config, design, trainer, folder, reporter)


def data_record(made: Made) -> dict[str, Any] | None:
    """What a record says of the task's data; None for tasks that draw everything."""
    record = getattr(made.task, "record", None)
    return None if record is None else record()


def require_same_data(config: Mapping[str, Any], made: Made, folder: RunFolder) -> None:
    """Raise `UsageError` where a task's data are not what the run was started with."""
    from .._errors import UsageError

    now, then = data_record(made) or {}, config["data"] or {}
    if now.get("sha256") != then.get("sha256"):
        raise UsageError(
            f"{now.get('source')} is not the data that {folder.path} was started with "
            f"(sha256 {str(now.get('sha256'))[:12]}, recorded {str(then.get('sha256'))[:12]}): "
            "restore the old data, or start a new run"
        )


def restore_meta_options(record: Mapping[str, Any]) -> MetaOptions:
    """The options of a record. Raises `UsageError` where they are not."""
    return restored(MetaOptions, record)


def _run(
    config: Mapping[str, Any],
    design: Design,
    trainer: MetaTrainer,
    folder: RunFolder,
    reporter: Reporter | None,
) -> dict[str, Any]:
    name = label(design)
    outcome = meta_fit(trainer, config["seeds"], folder=folder, reporter=reporter, name=name)
    write_portrait(trainer, outcome.state, config["seeds"], outcome.test, folder, reporter)
    scores = test_summary(outcome, trainer)
    discovered = write_rule(
        trainer,
        outcome.state,
        outcome.test,
        design=design,
        seeds=config["seeds"],
        scores=scores,
        folder=folder,
    )
    result = {
        "learner": display_name("learner", design.learner),
        "rule": None if design.rule is None else display_name("rule", design.rule),
        "task": display_name("task", design.task),
        "estimator": display_name("estimator", design.estimator),
        "seeds": config["seeds"],
        "meta_parameters": trainer.parameters,
        "meta_loss": meta_loss(outcome),
        "test": scores,
        "discovered": discovered,
        "skipped": outcome.records[-1].get("skipped"),
        "warning": outcome.warning,
        "seconds": round(outcome.seconds, 3),
        "lifetimes_per_second": round(outcome.lifetimes_per_second, 1),
        "protocol": config["protocol"],
        "run": str(folder.path),
    }
    folder.write_result(result)
    return result


def label(design: Design) -> str:
    """What a design is called in progress and messages: `online pepita on sinusoid`."""
    learner = display_name("learner", design.learner)
    rule = "" if design.rule is None else f" {display_name('rule', design.rule)}"
    return f"{learner}{rule} on {display_name('task', design.task)}"


def meta_loss(outcome: MetaOutcome) -> dict[str, float]:
    """Meta-loss over seeds in the first and in the last record of meta-training."""
    trained = [record["meta_loss"] for record in outcome.records if "meta_loss" in record]
    return {"first": float(np.mean(trained[0])), "last": float(np.mean(trained[-1]))}


def test_summary(outcome: MetaOutcome, trainer: MetaTrainer) -> dict[str, Any]:
    """`{"metric", "mean", "std", "n", "per_seed", "interval", "before", …}` of the test.

    Mean and population standard deviation over seeds, each the mean of its lifetimes; `interval`
    is the 95 % bootstrap interval of the mean over the lifetimes of all seeds.
    """
    per_seed = outcome.test.mean(-1)
    from ..analysis.intervals import bootstrap_interval

    low, high = bootstrap_interval(outcome.test.reshape(-1))
    before = outcome.records[0].get("test_metric")
    return {
        "metric": trainer.task.criterion.metric,
        "higher_is_better": trainer.task.criterion.higher_is_better,
        "mean": float(per_seed.mean()),
        "std": float(per_seed.std()),
        "n": len(per_seed),
        "per_seed": per_seed.tolist(),
        "lifetimes": int(outcome.test.shape[1]),
        "interval": [low, high],
        "before": None if before is None else float(np.mean(before)),
    }


def protocol(options: MetaOptions) -> dict[str, Any]:
    """How the reported number comes about; rows that differ here must not be compared."""
    return {
        "test": f"{options.test_lifetimes} lifetimes a seed of the task's held-out part, after "
        "the last meta-step",
        "std": "population standard deviation over seeds of the mean over lifetimes",
        "interval": "95 % bootstrap of the mean over all lifetimes",
        "skipped": "meta-steps out of bounds change nothing and are counted",
    }
