"""The network that learns within a lifetime."""

from collections.abc import Callable, Mapping
from typing import Any

from .._types import Key
from ..models._build import network_builder
from ..models.base import AbstractNetwork

WIDTHS = (40, 40)
"""Hidden layers of an `mlp` where none are given: lifetimes are short, and each is lived often."""


def lifetime_network(
    model: str, shape: tuple[int, ...], outputs: int, options: Mapping[str, Any]
) -> Callable[[Key], AbstractNetwork]:
    """As `network_builder`; an `mlp` of no given widths is small."""
    if model == "mlp" and options.get("hidden") is None:
        options = {**options, "hidden": WIDTHS}
    return network_builder(model, shape, outputs, options)
