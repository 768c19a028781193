"""A rule whose state starts from what a rule file holds."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ._errors import UsageError
from ._properties import Properties
from ._types import Inputs, Key, Outputs, RuleState, Targets, Updates
from .learners.paths import path_name, paths
from .models import AbstractNetwork
from .rules.base import AbstractRule, Aux


@dataclasses.dataclass(frozen=True, eq=False)
class RuleFile:
    """What a rule file holds; two are equal where their contents are."""

    path: Path
    card: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    """By the path of the state's array."""
    data: bytes
    """The whole file."""

    @functools.cached_property
    def sha256(self) -> str:
        """Of the whole file."""
        return hashlib.sha256(self.data).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RuleFile) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.sha256)


class FiledRule(AbstractRule):
    """A rule whose state starts from the values of a rule file; in all else the rule itself."""

    rule: AbstractRule
    """The rule, as its card describes it."""
    file: RuleFile = eqx.field(static=True)
    """Where the values come from."""
    loss: str = eqx.field(static=True)
    """Loss at the output."""

    @property
    def properties(self) -> Properties:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the rule."""
        return self.rule.properties

    def init(self, model: AbstractNetwork, *, key: Key) -> RuleState:
        """The rule's own start, with the values of the file in it.

        Raises `UsageError` where they do not fit the network, or some are missing.
        """
        state = self._own.init(model, key=key)
        there, held = paths(self._own.learned(state)), self.file.tensors
        for path, value in sorted(held.items()):
            shape = there[path].shape if path in there else None
            if shape != value.shape:
                raise UsageError(self._misfit(path, value.shape, shape))
        for path in there.keys() - held.keys():
            raise UsageError(
                f"{self.file.path} lacks {path}, without which its rule is another: get it anew "
                "from where it came from"
            )

        def fill(path: Any, leaf: Any) -> Any:
            value = self.file.tensors.get(path_name(path))
            return leaf if value is None else jnp.asarray(value, leaf.dtype)

        return jax.tree_util.tree_map_with_path(fill, state)

    def updates(
        self,
        model: AbstractNetwork,
        state: RuleState,
        x: Inputs,
        y: Targets,
        *,
        key: Key,
        **signals: Any,
    ) -> tuple[Updates, RuleState, Aux]:
        return self._own.updates(model, state, x, y, key=key, **signals)

    def trained(self, model: AbstractNetwork) -> Any:
        return self._own.trained(model)

    def reborn(self, model: AbstractNetwork, state: RuleState, *, key: Key) -> RuleState:
        return self._own.reborn(model, state, key=key)

    def predict(self, model: AbstractNetwork, state: RuleState, x: Inputs) -> Outputs:
        return self._own.predict(model, state, x)

    def after_step(
        self, before: AbstractNetwork, after: AbstractNetwork, state: RuleState
    ) -> tuple[AbstractNetwork, RuleState]:
        return self._own.after_step(before, after, state)

    def angles(self, model: AbstractNetwork, state: RuleState) -> dict[str, jax.Array]:
        return self._own.angles(model, state)

    def sizes(self, model: AbstractNetwork, state: RuleState) -> dict[str, jax.Array]:
        return self._own.sizes(model, state)

    def learned(self, state: RuleState) -> RuleState:
        return self._own.learned(state)

    def formula(self, state: RuleState) -> str | None:
        """What the values of the file make of the rule, whatever its card tells."""
        return self._own.formula(state)

    def own_files(self) -> tuple[str, ...]:
        return self.rule.own_files()

    def input_shape(self, shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
        return self._own.input_shape(shape, classes)

    @property
    def _own(self) -> AbstractRule:
        return dataclasses.replace(self.rule, loss=self.loss)

    def _misfit(self, path: str, held: tuple[int, ...], wanted: tuple[int, ...] | None) -> str:
        made = self.file.card.get("use", {}).get("hidden")
        listed = isinstance(made, list) and bool(made)
        advice = f", such as --hidden {' '.join(map(str, made))}" if listed else ""
        here = "has no such values" if wanted is None else f"needs {_shape(wanted)}"
        return (
            f"{self.file.path} was made for another network: it holds {path} of shape "
            f"{_shape(held)}, this one {here}; use the network that it was made for{advice}"
        )


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
