"""Builds a network of the registry from options that may be left to the network itself."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .. import _registry
from .._errors import UsageError, unknown
from .._types import Key
from ._initialisers import INITIALISERS
from .base import AbstractNetwork


def network_builder(
    name: str, shape: tuple[int, ...], outputs: int, options: Mapping[str, Any]
) -> Callable[[Key], AbstractNetwork]:
    """A function from a key to the network `name` for inputs of `shape`.

    Options that are None are the network's own. Raises `UsageError` for an unknown network or
    initialiser, and for an option that the network does not have.
    """
    build = _registry.load("models", name)
    given = {option: value for option, value in options.items() if value is not None}
    known = inspect.signature(build).parameters
    for option in given:
        if option not in known:
            own = [f"--{option}" for option in options if option in known]
            raise UsageError(
                f"--{option} is no option of the model {name}, which has " + ", ".join(own)
            )
    initialiser = given.get("initialiser")
    if initialiser is not None and initialiser not in INITIALISERS:
        raise unknown("initialiser", initialiser, INITIALISERS)
    return lambda key: build(shape, outputs, key=key, **given)
