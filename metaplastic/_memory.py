"""Whether the arrays of a run fit into memory, asked before they are made.

Where they do not, XLA on a CPU waits forever instead of saying so.
"""

import os
from typing import Any

import jax

from ._errors import UsageError

_COPIES = 2
"""Of the state: one goes into a chunk of steps, one comes out."""


def require_memory(shapes: Any, *, fix: str) -> None:
    """Raise `UsageError` where a state of these shapes and its successor are larger than memory.

    `fix`: what to make smaller, such as "--hidden".
    """
    needed = _COPIES * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
    there = memory()
    if there is not None and needed > there:
        raise UsageError(
            f"weights and what is kept beside them take {_size(needed)}, and there are "
            f"{_size(there)} of memory: choose smaller {fix}"
        )


def memory() -> int | None:
    """Bytes of the accelerator, or of the machine; None where they are not known."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a Unix
        return None


def _size(count: int) -> str:
    return f"{count / 2**30:,.3g} GiB" if count < 2**50 else f"{count / 2**40:,.0f} TiB"
