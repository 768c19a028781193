"""Accuracy over updates where a genome was not learned, and the rows of the table."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaplastic.report.studies import blur_unrolls, rows

Row = Mapping[str, Any]


def figures(entries: Sequence[Row]) -> dict[str, Any]:
    """A panel for each place, a line for each genome and for gradient descent."""
    curves = [own["data"]["accuracy"] for own in entries]
    horizons = sorted({own["data"]["horizon"] for own in entries if "horizon" in own["data"]})
    return {
        **rows.figures(entries),
        "accuracy_over_updates": blur_unrolls.panels(
            entries, curves, horizons, "Accuracy over updates"
        ),
    }
