"""What biology asks of a rule, as a table; read from source, without JAX."""

import dataclasses
from collections.abc import Iterable, Mapping

from metaplastic._properties import Properties
from metaplastic.report._table import Table

PROPERTY_COLUMNS = (
    "no weight transport",
    "local signals only",
    "no backward sweep",
    "activity not frozen",
    "update unlocked",
    "local in time",
    "no f' needed",
    "forward passes",
)
"""What a rule may have, as the columns of the table say it; the last is a number."""
_TRANSPORT = {"yes": "no", "signs": "signs only", "learned": "yes (learned)", "no": "yes"}
_UNLOCKED = {"yes": "no", "partly": "partly", "no": "yes"}


def property_table(rules: Iterable[str] | None = None) -> Table:
    """What biology asks of a rule, and whether the rule has it; read from source, without JAX.

    `rules` are names or `file.py:Name`, all that are registered by default. "yes" means that the
    property holds, which is good. Columns after Dellaferrera & Kreiman (2022), section 1.
    """
    from metaplastic import _registry

    entries = [_registry.describe("rules", name) for name in rules or _registry.names("rules")]
    return properties_of({entry.name: entry.properties for entry in entries})


def properties_of(declared: Mapping[str, Properties | None]) -> Table:
    """The table of properties that are known already, by rule; unknown ones are "?"."""
    columns = ("rule", *PROPERTY_COLUMNS)
    rows = tuple((name, *_property_cells(own)) for name, own in declared.items())
    records = tuple(
        {"rule": name, "properties": None if own is None else dataclasses.asdict(own)}
        for name, own in declared.items()
    )
    title = "biological properties of each rule (yes: it has the property, which is good)"
    return Table(title, columns, rows, records)


def _property_cells(own: Properties | None) -> tuple[str, ...]:
    if own is None:
        return ("?",) * len(PROPERTY_COLUMNS)
    return (
        _TRANSPORT[own.weight_transport],
        own.nonlocal_signal or "yes",
        _yes(not own.backward_sweep),
        _yes(not own.frozen_activity),
        _UNLOCKED[own.update_locked],
        _yes(not own.stored_state),
        _yes(not own.needs_slope),
        str(own.forward_passes),
    )


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
