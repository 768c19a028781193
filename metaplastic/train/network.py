"""Builds the network that the options of a run name."""

from collections.abc import Callable

from .._types import Key
from ..models import AbstractNetwork, _build
from .options import TrainOptions

_MODEL_OPTIONS = ("hidden", "filters", "activation", "bias", "norm", "dropout", "initialiser")


def network_builder(
    options: TrainOptions, shape: tuple[int, ...], classes: int
) -> Callable[[Key], AbstractNetwork]:
    """A function from a key to a network, for inputs of `shape`.

    Raises `UsageError` for an unknown model or initialiser, and for an option that the model does
    not have.
    """
    given = {name: getattr(options, name) for name in _MODEL_OPTIONS}
    return _build.network_builder(options.model, shape, classes, given)
