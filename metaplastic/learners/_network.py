"""The network that learns within a lifetime."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .._errors import UsageError
from .._types import Key
from ..models._build import network_builder
from ..models.base import AbstractNetwork

WIDTHS = (40, 40)
"""Hidden layers of an `mlp` where none are given: lifetimes are short, and each is lived often."""


def lifetime_network(
    model: str, shape: tuple[int, ...], outputs: int, options: Mapping[str, Any]
) -> Callable[[Key], AbstractNetwork]:
    """As `network_builder`; an `mlp` of no given widths is small, and options are the learner's."""
    if model == "mlp" and options.get("hidden") is None:
        options = {**options, "hidden": WIDTHS}
    with _learners_own(options):
        build = network_builder(model, shape, outputs, options)

    def built(key: Key) -> AbstractNetwork:
        with _learners_own(options):
            return build(key)

    return built


@contextlib.contextmanager
def _learners_own(options: Mapping[str, Any]) -> Iterator[None]:
    """What a network says of `--hidden` is advice on `--learner.hidden` here."""
    names = "|".join(name.replace("_", "-") for name in ("model", *options))
    try:
        yield
    except UsageError as error:
        raise UsageError(re.sub(rf"--(?=(?:{names})\b)", "--learner.", str(error))) from None
