"""Several rules under one protocol, each at its own best learning rate.

A rate is chosen on a validation set that is kept apart from the test set. All rates and seeds of a
rule train in one program. Rules differ in their best rates by factors of 100 to 1,000 (Sanfiz &
Akrout, 2021), so that a comparison at one shared rate says little.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import jax.random as jr

from .. import data
from .._devices import check_share
from .._errors import UsageError
from ..data import Dataset
from ..report.records import RunFolder
from ..rules.base import AbstractRule
from .entrant import Entrant, compete, part, part_name
from .fit import Reporter
from .options import TrainOptions
from .rate_grid import check_grid
from .run import (
    FILE,
    describe_rule,
    keep_rule,
    protocol,
    require_same_data,
    restore_options,
    restore_rule,
)
from .trainer import Trainer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """What all rules of a comparison share."""

    options: TrainOptions
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    grid_seeds: int = 1
    grid_epochs: int | None = None
    widen: int = 0

    def check(self, labels: Sequence[str]) -> None:
        """Raise `UsageError` for what cannot work, or would train the same thing twice.

        `labels`: of the rules that are compared.
        """
        if not self.rates:
            raise UsageError("--rates names no learning rate: give one, or several to choose from")
        check_grid(self.rates, self.grid_seeds, len(self.seeds), self.widen)
        if self.grid_epochs is not None and self.grid_epochs < 1:
            raise UsageError(
                f"--grid-epochs {self.grid_epochs}: at least 1 is needed; leave it out for all"
            )
        check_labels(labels, "pepita:feedback-scale=0.2")


def check_labels(labels: Sequence[str], example: str) -> None:
    """Raises `UsageError` for what is compared with itself; `example` shows how it differs."""
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(
                f"{label} is named twice: name it once, or with other options, as in {example}"
            )
        for other in labels:
            if other != label and part_name(other) == part_name(label):
                raise UsageError(
                    f"{label} and {other} would share the folder {part_name(label)} of the run: "
                    "compare them in two runs, or rename one"
                )


def compare(
    rules: Sequence[tuple[str, str, AbstractRule]],
    shared: Protocol,
    *,
    own: Sequence[str] = (),
    folder: RunFolder,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Train each `(label, name, rule)` at its own best rate; the result of `metaplastic compare`.

    Every rate is chosen on a validation set (a tenth of the training set unless the options say
    otherwise) that all rules share. `own`: files of one's own that rule files need. Raises
    `UsageError`, before any work, for a rule that does not fit the network.
    """
    shared.check([label for label, _, _ in rules])
    dataset = data.load(shared.options.data)
    check_share(shared.options.devices, len(shared.seeds) * max(len(shared.rates), 1))
    options = dataclasses.replace(shared.options, validation=shared.options.validation or 0.1)
    if not folder.config_path.exists():
        _check_rules([rule for _, _, rule in rules], dataset, options)
        terms = {"data": dataset.record(), "protocol": protocol(options)}
        _record(rules, shared, own, folder, terms)
    rows = [
        compete(
            Entrant(
                label=label,
                rule=rule,
                options=options,
                rates=shared.rates,
                seeds=shared.seeds,
                grid_seeds=shared.grid_seeds,
                grid_epochs=shared.grid_epochs,
                widen=shared.widen,
            ),
            dataset,
            part(folder, label),
            reporter,
        )
        for label, _, rule in rules
    ]
    result = {
        "data": dataset.name,
        "model": options.model,
        "seeds": list(shared.seeds),
        "rules": rows,
        "control": control_row(rows),
        "protocol": protocol(options),
        "run": str(folder.path),
    }
    folder.write_result(result)
    return result


def _check_rules(rules: Sequence[AbstractRule], dataset: Dataset, options: TrainOptions) -> None:
    """Find what cannot work before the record, and before an hour's work of other rules."""
    for rule in rules:
        Trainer(rule, dataset, options).start.eval_shape(jr.key(0)[None], jnp.ones(1))


def _record(
    rules: Sequence[tuple[str, str, AbstractRule]],
    shared: Protocol,
    own: Sequence[str],
    folder: RunFolder,
    terms: Mapping[str, Any],
) -> None:
    """Write what `resume` needs: the configuration, and beside it copies of rule files."""
    described = []
    for label, name, rule in rules:
        copy = f"parts/{part_name(label)}/{FILE}"
        described.append({"label": label, **describe_rule(name, rule, own=own, copy=copy)})
        keep_rule(rule, described[-1], folder)
    folder.write_config(
        {
            "command": "compare",
            "rules": described,
            **{k: v for k, v in dataclasses.asdict(shared).items() if k != "options"},
            "options": dataclasses.asdict(shared.options),
            **terms,
        }
    )


def resume(folder: RunFolder, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """Go on with an interrupted comparison; its result, if it is done."""
    done = folder.read_result()
    if done is not None:
        return done
    config = folder.read_config("rules", "options", "rates", "seeds", "data", "grid_seeds")
    require_same_data(config, folder)
    rules = [(own["label"], own["name"], restore_rule(own, folder)) for own in config["rules"]]
    shared = Protocol(
        options=restore_options(config["options"]),
        rates=tuple(config["rates"]),
        seeds=tuple(config["seeds"]),
        grid_seeds=config["grid_seeds"],
        grid_epochs=config["grid_epochs"],
        widen=config.get("widen", 0),
    )
    return compare(rules, shared, folder=folder, reporter=reporter)


def control_row(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row of the frozen-hidden control, if it is among them."""
    return next((row for row in rows if row["rule"] == "shallow"), None)
