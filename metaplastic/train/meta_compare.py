"""Several learners under one protocol, each at its own best learning rate."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..report.records import RunFolder
from .compare import check_labels
from .design import Design, restore_design
from .entrant import part
from .fit import Reporter
from .meta_entrant import MetaEntrant, meta_compete
from .meta_options import MetaOptions
from .meta_run import data_record, protocol as test_protocol, restore_meta_options
from .meta_trainer import MetaTrainer
from .rate_grid import check_grid


@dataclasses.dataclass(frozen=True)
class MetaProtocol:
    """What all learners of a comparison have in common."""

    options: MetaOptions
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    grid_seeds: int = 1
    widen: int = 0

    def check(self, labels: Sequence[str]) -> None:
        """Raise `UsageError` for what cannot work, or would meta-train the same thing twice.

        `labels`: of the learners that are compared.
        """
        check_grid(self.rates, self.grid_seeds, len(self.seeds), self.widen)
        check_labels(labels, "reptile:rate=0.1")


def meta_compare(
    entrants: Sequence[tuple[str, Design]],
    protocol: MetaProtocol,
    *,
    folder: RunFolder,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Meta-train every `(label, design)`; the document of `metaplastic compare --task`."""
    protocol.check([label for label, _ in entrants])
    made = [design.make() for _, design in entrants]  # every mistake is found before any work
    runs = len(protocol.seeds) * max(len(protocol.rates), 1)
    if (protocol.options.devices or 1) > 1 and runs == 1:
        for own in made:
            MetaTrainer(*own, protocol.options).check_devices(runs)
    config = {
        "command": "compare",
        "kind": "learners",
        "entrants": [{"label": text, "design": design.record()} for text, design in entrants],
        "options": dataclasses.asdict(protocol.options),
        "rates": protocol.rates,
        "seeds": protocol.seeds,
        "grid_seeds": protocol.grid_seeds,
        "widen": protocol.widen,
        "data": data_record(made[0]),
        "protocol": {
            **test_protocol(protocol.options),
            "rate": "best metric of the last tenth of meta-training, never of the test",
        },
    }
    folder.write_config(config)
    return _run(entrants, protocol, config["protocol"], folder, reporter)


def resume(folder: RunFolder, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """Go on with an interrupted comparison; its result, if it is done."""
    done = folder.read_result()
    if done is not None:
        return done
    config = folder.read_config("entrants", "options", "rates", "seeds", "grid_seeds", "protocol")
    entrants = [(own["label"], restore_design(own["design"])) for own in config["entrants"]]
    protocol = MetaProtocol(
        options=restore_meta_options(config["options"]),
        rates=tuple(config["rates"]),
        seeds=tuple(config["seeds"]),
        grid_seeds=config["grid_seeds"],
        widen=config.get("widen", 0),
    )
    return _run(entrants, protocol, config["protocol"], folder, reporter)


def _run(
    entrants: Sequence[tuple[str, Design]],
    protocol: MetaProtocol,
    recorded: dict[str, Any],
    folder: RunFolder,
    reporter: Reporter | None,
) -> dict[str, Any]:
    rows = []
    for label, design in entrants:
        # A rate of zero is a control, which a grid must leave alone.
        still = design.learner.fields.get("rate") == 0.0
        entrant = MetaEntrant(
            label=label,
            design=design,
            options=protocol.options,
            seeds=protocol.seeds,
            rates=() if still else protocol.rates,
            grid_seeds=protocol.grid_seeds,
            widen=protocol.widen,
        )
        rows.append(meta_compete(entrant, part(folder, label), reporter))
    result = {"learners": rows, "protocol": recorded, "run": str(folder.path)}
    folder.write_result(result)
    return result
