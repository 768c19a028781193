"""How functions are compiled that are called once."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax


def quick_options() -> dict[str, Any] | None:
    """Compiler options of programs that run once: soon ready, not fast. On a CPU alone.

    Code that draws random numbers takes long to optimise.
    """
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


def compiled_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled for a single call."""
    options = quick_options()
    return eqx.filter_jit(function, compiler_options=options)  # pyright: ignore[reportCallIssue]
