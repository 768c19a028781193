"""What a meta-training run discovered, as a formula and as a rule file in its folder."""

import dataclasses
import inspect
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

import equinox as eqx
import jax.random as jr
import numpy as np

from .. import _registry, rule_file
from ..learners.online import OnlineLearner
from ..report.records import RunFolder
from .design import KINDS, Design
from .meta_options import MetaOptions
from .meta_trainer import MetaReplica, MetaTrainer

FILE = "rule.safetensors"


def write_rule(
    trainer: MetaTrainer,
    state: MetaReplica,
    test: np.ndarray,
    *,
    design: Design,
    seeds: Sequence[int],
    scores: Mapping[str, Any],
    folder: RunFolder,
) -> dict[str, Any] | None:
    """Write the rule of the run's median seed into its folder; `{"formula", "seed", "file"}`.

    None, and nothing is written, for learners without a rule whose coefficients are learned. `test`
    [seeds, lifetimes] is the metric by which the median is found.
    """
    per_seed = test.mean(-1)
    index = int(np.argsort(per_seed)[(len(per_seed) - 1) // 2])
    learner = trainer.learner(state, index)
    if not isinstance(learner, OnlineLearner):
        return None
    formula = learner.rule.formula(learner.state)
    if formula is None:
        return None
    card = {
        "meta_training": {
            "design": design.record(),
            "options": dataclasses.asdict(trainer.options),
            "seeds": list(seeds),
            "seed": seeds[index],
            "scores": scores,
            "command": command(design, trainer.options, seeds),
            "lifetime": _lifetime(trainer),
        },
        "use": _use(design, trainer),
    }
    path = folder.path / FILE
    rule_file.save(path, learner.rule, learner.state, card)
    return {"formula": formula, "seed": seeds[index], "file": str(path)}


_EPOCHS = 5


def _use(design: Design, trainer: MetaTrainer) -> dict[str, Any]:
    """Options of `metaplastic train` that come nearest to the rule's lifetimes.

    A whole data set is many lifetimes long, in which a rule goes on to change the weights as much
    as in the first: the rate falls to zero, and the epochs are few.
    """
    own = design.learner.fields
    use = {
        "lr": own.get("rate"),
        "optimiser": "sgd",
        "schedule": "cosine",
        "epochs": _EPOCHS,
        "batch_size": _lifetime(trainer)["examples"],
        "hidden": own.get("hidden"),
        "filters": own.get("filters"),
        "activation": own.get("activation"),
        "bias": own.get("bias", True),
        "initialiser": own.get("redraw") or own.get("initialiser"),
    }
    return {name: value for name, value in use.items() if value is not None}


def _lifetime(trainer: MetaTrainer) -> dict[str, int]:
    """How many updates the rule was learned for, and by how many examples each."""
    updates, examples = eqx.filter_eval_shape(trainer.task.sample, jr.key(0)).stream.x.shape[:2]
    return {"updates": updates, "examples": examples}


# The command line of a design


def command(design: Design, options: MetaOptions, seeds: Sequence[int]) -> str:
    """The `metaplastic meta` that makes this run; what is as by default is left out, and so are
    the folders of files of one's own."""
    words = ["metaplastic", "meta", design.learner.name]
    parts = {"rule": design.rule, "task": design.task, "estimator": design.estimator}
    for what, part in parts.items():
        words += [] if part is None else [f"--{what}", part.name]
    for what, part in {**parts, "learner": design.learner}.items():
        if part is not None:
            words += _changed(_registry.load(KINDS[what], part.name), part.fields, f"{what}.")
    fields = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    words += _changed(MetaOptions, fields, "")
    words += ["--seed", str(seeds[0])] if seeds[0] else []
    words += ["--seeds", str(len(seeds))] if len(seeds) > 1 else []
    return shlex.join(rule_file.portable(words))


def _changed(member: Any, fields: Mapping[str, Any], prefix: str) -> list[str]:
    """The options whose values are not the member's defaults, as words of a command line."""
    known, hints = inspect.signature(member).parameters, get_type_hints(member)
    return [
        word
        for name, value in fields.items()
        if _plain(value) != _plain(known[name].default)
        for word in _words(f"{prefix}{name}".replace("_", "-"), value, hints.get(name))
    ]


def _words(option: str, value: Any, hint: Any) -> list[str]:
    if hint is bool:
        stem, dot, leaf = option.rpartition(".")
        return [f"--{option}" if value else f"--{stem}{dot}no-{leaf}"]
    values = value if isinstance(value, tuple | list) else [value]
    return [f"--{option}", *map(str, values)]


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
