"""Builds the network that the options of a run name."""

import inspect
from collections.abc import Callable
from typing import Any

from .. import _registry
from .._errors import UsageError
from .._types import Key
from ..models import AbstractNetwork
from ..models._initialisers import INITIALISERS
from .options import TrainOptions

_MODEL_OPTIONS = ("hidden", "filters", "activation", "bias", "norm", "dropout", "initialiser")


def network_builder(
    options: TrainOptions, shape: tuple[int, ...], classes: int
) -> Callable[[Key], AbstractNetwork]:
    """A function from a key to a network, for inputs of `shape`.

    Raises `UsageError` for an unknown model or initialiser, and for an option that the model does
    not have.
    """
    build = _registry.load("models", options.model)
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in _MODEL_OPTIONS
        if getattr(options, name) is not None
    }
    known = inspect.signature(build).parameters
    for name in given:
        if name not in known:
            own = [f"--{option}" for option in _MODEL_OPTIONS if option in known]
            raise UsageError(
                f"--{name} is no option of the model {options.model}, which has " + ", ".join(own)
            )
    if options.initialiser is not None and options.initialiser not in INITIALISERS:
        from .._errors import unknown

        raise unknown("initialiser", options.initialiser, INITIALISERS)
    return lambda key: build(shape, classes, key=key, **given)
