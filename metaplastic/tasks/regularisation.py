"""One data set in two halves: a network is trained on the one and judged on the other."""

import dataclasses
import json
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import UsageError
from .._types import Key
from ..data import Dataset, load
from ._unread import AbstractUnread
from .base import Episode, Query, Stream
from .criteria import CLASSIFICATION, Criterion


class Regularisation(AbstractUnread):
    """L_learn on one half of the training set, L_eval on the other; always the same lifetime.

    What a lifetime starts from or is held back by (the decay of every weight, say) is learned from
    how it does on examples that it was not trained on. Meta-testing trains on both halves and asks
    for the test set. Zucchet et al. (2022), "A contrastive rule for meta-learning", section 5.2;
    Lorraine, Vicol & Duvenaud (2020), "Optimizing millions of hyperparameters".
    """

    criterion: ClassVar[Criterion] = CLASSIFICATION
    distinct: ClassVar[int | None] = 1

    data: str = eqx.field(static=True, default="digits")
    """Data set, or `.npz` of one's own."""
    examples: int | None = eqx.field(static=True, default=None)
    """So many training examples, drawn by the split's seed; all where it is not given."""
    validation: float = eqx.field(static=True, default=0.5)
    """Part of them that only judges."""
    split_seed: int = eqx.field(static=True, default=0)
    """Draws which examples are which."""

    def __check_init__(self):
        if not 0 < self.validation < 1:
            raise UsageError(
                f"--task.validation {self.validation}: give a part between 0 and 1, such as 0.5"
            )
        if self.examples is not None and self.examples < 2:
            raise UsageError(f"--task.examples {self.examples}: at least 2 are needed")

    def load(self) -> "_LoadedRegularisation":
        """The task with its examples on the device.

        Raises `DataError` where they are missing, `UsageError` for more examples than there are.
        """
        return self.with_data(load(self.data))

    def with_data(self, data: Dataset) -> "_LoadedRegularisation":
        """The task on these examples."""
        total = len(data.x_train)
        if self.examples is not None and self.examples > total:
            raise UsageError(
                f"--task.examples {self.examples}: {data.name} has {total} for training, ask for "
                "at most as many"
            )
        order = np.random.default_rng(self.split_seed).permutation(total)[: self.examples]
        judging = round(self.validation * len(order))
        if not 0 < judging < len(order):
            raise UsageError(
                f"--task.validation {self.validation} of {len(order)} examples leaves one part "
                "empty: give another part, or more --task.examples"
            )
        options = {own.name: getattr(self, own.name) for own in dataclasses.fields(Regularisation)}
        return _LoadedRegularisation(
            x=jnp.asarray(data.x_train[order].reshape(len(order), *data.shape)),
            y=jnp.asarray(data.y_train[order], jnp.int32),
            x_test=jnp.asarray(data.x_test.reshape(len(data.x_test), *data.shape)),
            y_test=jnp.asarray(data.y_test, jnp.int32),
            trained=len(order) - judging,
            classes=data.classes,
            scale=data.scale,
            about=json.dumps(data.record()),
            **options,
        )


class _LoadedRegularisation(Regularisation):
    """`Regularisation` with its examples, in the type in which they are stored."""

    x: jax.Array = eqx.field(kw_only=True)
    y: jax.Array = eqx.field(kw_only=True)
    x_test: jax.Array = eqx.field(kw_only=True)
    y_test: jax.Array = eqx.field(kw_only=True)
    trained: int = eqx.field(static=True, kw_only=True)
    """The first so many are for L_learn."""
    classes: int = eqx.field(static=True, kw_only=True)
    scale: float = eqx.field(static=True, kw_only=True)
    about: str = eqx.field(static=True, kw_only=True)
    final: bool = eqx.field(static=True, kw_only=True, default=False)
    """Train on both halves, and ask for the test set."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.x.shape[1:]

    @property
    def outputs(self) -> int:
        return self.classes

    def load(self) -> "_LoadedRegularisation":
        return self

    def record(self) -> dict[str, Any]:
        """What a run record says of the data."""
        return json.loads(self.about)

    def held_out(self) -> "_LoadedRegularisation":
        return dataclasses.replace(self, final=True)

    def sample(self, key: Key) -> Episode:
        del key
        if self.final:
            shown, asked = (self.x, self.y), (self.x_test, self.y_test)
        else:
            cut = self.trained
            shown, asked = (self.x[:cut], self.y[:cut]), (self.x[cut:], self.y[cut:])
        (x, y), (x_query, y_query) = self._inputs(*shown), self._inputs(*asked)
        return Episode(
            Stream(x[None], y[None], None, None), Query(x_query, y_query), self.criterion
        )

    def _inputs(self, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        own = x.astype(jnp.float32) / self.scale
        return own, jax.nn.one_hot(y, self.classes, dtype=own.dtype)
