"""Standard output: for people, or, under `--json`, for exactly one JSON document."""

import sys
from typing import Any, TextIO

from metaplastic._json import dumps

INTERRUPTED = 130
"""The status after Ctrl-C, as shells have it."""
_reserved: TextIO | None = None


def reserve_stdout() -> None:
    """From now on whatever is printed goes to standard error, except `emit`'s document."""
    global _reserved
    if _reserved is None:
        _reserved, sys.stdout = sys.stdout, sys.stderr


def release_stdout() -> None:
    """Undo `reserve_stdout`."""
    global _reserved
    if _reserved is not None:
        sys.stdout, _reserved = _reserved, None


def emit(document: Any) -> None:
    """Print the one JSON document of `--json`."""
    print(dumps(document, indent=2), file=_reserved or sys.stdout, flush=True)
