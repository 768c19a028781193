"""How the rows of an experiment stand beside the one that they are compared with."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ._table import NONE, digits

Row = Mapping[str, Any]

_ERRORS = 2.0
"""Standard errors of a difference below which it says nothing."""


def beside(rows: Sequence[Row]) -> list[str]:
    """`better by 1.46`, `worse by 0.3`, or `no different (+0.2)`, of every row.

    The last where the difference is below two standard errors over the seeds of both. A row names
    the setting that it is compared with (`subject`) and says whether high numbers are good
    (`higher_is_better`); one that does not, or that has no number, gets a dash.
    """
    known = {(row["experiment"], row["setting"], row["metric"]): row for row in rows}

    def cell(row: Row) -> str:
        subject = known.get((row["experiment"], row.get("subject"), row["metric"]))
        if subject is None or not row["ours"] or not subject["ours"]:
            return NONE
        return _compared(row["ours"], subject["ours"], higher_is_better=row["higher_is_better"])

    return [cell(row) for row in rows]


def heading(rows: Sequence[Row]) -> str:
    """Of the column: what the settings that rows are compared with begin with."""
    subjects = [row["subject"].split(", ") for row in rows if row.get("subject")]
    same = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*subjects, strict=False))
    shared = ", ".join(parts[0] for parts in same)
    return "beside " + (shared or "the paper's own")


def _compared(ours: Row, subject: Row, *, higher_is_better: bool) -> str:
    difference = ours["mean"] - subject["mean"]
    size = abs(difference)
    form = digits(size)
    errors = [_squared_error(own) for own in (ours, subject)]
    certain = None not in errors
    if certain and size <= _ERRORS * math.sqrt(sum(filter(None, errors))):
        return f"no different ({difference:+{form}})"
    word = "better" if (difference > 0) == higher_is_better else "worse"
    return f"{word} by {size:{form}}" + ("" if certain else " (one seed)")


def _squared_error(number: Row) -> float | None:
    """Of a mean, from its seeds' population standard deviation; None for one seed."""
    count = number.get("n") or 1
    return None if count < 2 else (number.get("std") or 0.0) ** 2 / (count - 1)
