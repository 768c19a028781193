"""Groups of classes by their numbers: `all`, `0-4`, `5-9`, `1,3,7-9`."""

import re

from .._errors import UsageError

_RANGE = re.compile(r"(?P<first>\d+)(?:-(?P<last>\d+))?")


def read_groups(texts: tuple[str, ...], *, option: str, classes: int, data: str) -> list[list[int]]:
    """The classes of each group.

    Raises `UsageError`, naming `option`, for text that is none and for a class that `data`, which
    has so many, has not.
    """
    if not texts:
        raise UsageError(f"--task.{option} names no group of classes: say all, or 0-4 5-9")
    return [_read(text, option, classes, data) for text in texts]


def _read(text: str, option: str, classes: int, data: str) -> list[int]:
    if text == "all":
        return list(range(classes))
    members: set[int] = set()
    for part in text.split(","):
        first, last = _ends(part)
        if first > last:
            raise UsageError(
                f"--task.{option} {text}: write classes by number, such as all, 0-4 or 1,3,7-9"
            )
        if last >= classes:
            raise UsageError(
                f"--task.{option} {text}: {data} has the classes 0-{classes - 1}, name some of them"
            )
        members |= set(range(first, last + 1))
    return sorted(members)


def _ends(part: str) -> tuple[int, int]:
    """First and last class of `3` or `3-7`; of anything else, ends that are no range."""
    match = _RANGE.fullmatch(part.strip())
    if match is None:
        return 1, 0
    return int(match["first"]), int(match["last"] or match["first"])
