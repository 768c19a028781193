"""Learn a data set from a few batches of its images, then name others."""

import dataclasses
import hashlib
import json
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .. import data as datasets
from .._errors import UsageError
from .._types import Key
from ..data import Dataset, by_class
from ._bank import Bank, affine
from ._class_groups import read_groups
from ._counts import check_counts
from ._permute import permuted
from ._unread import AbstractUnread
from .base import Episode, Query, Stream
from .criteria import CLASSIFICATION, Criterion

_PARTS = 5
"""Meta-training asks for one of so many parts of the images, and shows the others."""


class LabelledBatches(AbstractUnread):
    """A data set from its beginning: a batch of random images a moment, then questions.

    A lifetime draws one of the groups of classes (`all`, or `0-4 5-9`: as many problems), perhaps
    `ways` of its classes, and shows `moments` batches of random training images with their labels;
    classes are equally likely. In meta-training the questions are training images too: a fifth of
    each class, another fifth in every lifetime, is asked for and never shown. Meta-testing shows
    training images and asks for test images, of the same data set or of another. As in Sandler et
    al. (2021), "Meta-learning bidirectional update rules", sections 4.2 and 4.5; ten of Omniglot's
    characters: `data` omniglot, `classes` 0-963, `held_classes` 964-1622, `ways` 10.
    """

    criterion: ClassVar[Criterion] = CLASSIFICATION

    data: str = eqx.field(static=True, default="digits")
    """Data set, or `.npz` of one's own."""
    classes: tuple[str, ...] = eqx.field(static=True, default=("all",))
    """Groups of classes, one of which a lifetime has: all, 0-4, 5-9, 1,3,7."""
    held_classes: tuple[str, ...] | None = eqx.field(static=True, default=None)
    """Groups of meta-testing; the same where they are not given (all, of other data)."""
    test_data: str | None = eqx.field(static=True, default=None)
    """Another data set for meta-testing."""
    ways: int | None = eqx.field(static=True, default=None)
    """Classes of a lifetime, drawn from its group; all of them where it is not given."""
    batch: int = eqx.field(static=True, default=32)
    """Images of a moment."""
    moments: int = eqx.field(static=True, default=10)
    """Batches of a lifetime."""
    queries: int = eqx.field(static=True, default=100)
    """Images to be named at the end."""
    labels: Literal["own", "permuted"] = eqx.field(static=True, default="own")
    """Outputs that stand for the classes: the class's own number, or in every lifetime others."""
    permute: bool = eqx.field(static=True, default=False)
    """The values of an input in an order of its own in every lifetime."""
    resize: int | None = eqx.field(static=True, default=None)
    """Side to which images are brought; as they are stored where it is not given."""
    invert: bool = eqx.field(static=True, default=False)
    """1 - x: ink becomes 1 and paper 0."""
    standardise: bool = eqx.field(static=True, default=False)
    """Mean 0 and variance 1 in each channel, over the training images of each data set."""

    def __check_init__(self):
        check_counts(self, "ways", "batch", "moments", "queries", "resize")

    def load(self) -> "_LoadedLabelledBatches":
        """The task with its images on the device.

        Raises `DataError` where they are missing, `UsageError` for classes that a data set has not
        and for test data that do not fit.
        """
        other = None if self.test_data is None else datasets.load(self.test_data)
        return self.with_data(datasets.load(self.data), other)

    def with_data(self, own: Dataset, other: Dataset | None = None) -> "_LoadedLabelledBatches":
        """The task on these data, `other` (by default the same) for meta-testing."""
        held = self.held_classes or (self.classes if other is None else ("all",))
        late = own if other is None else other
        groups = read_groups(self.classes, option="classes", classes=own.classes, data=own.name)
        held = read_groups(held, option="held-classes", classes=late.classes, data=late.name)
        banks = self._banks(own, groups if other is not None else [*groups, *held])
        spare = banks if other is None else self._banks(other, held)
        about = own.record()
        if other is not None:
            digest = hashlib.sha256((own.sha256 + other.sha256).encode()).hexdigest()
            about = {**about, "sha256": digest, "test_data": other.record()}
        options = {o.name: getattr(self, o.name) for o in dataclasses.fields(LabelledBatches)}
        return _LoadedLabelledBatches(
            lesson=banks[0],
            exam=None,
            spare=spare,
            groups=tuple(map(tuple, groups)),
            held_groups=tuple(map(tuple, held)),
            width=self._width(groups if other is not None else [*groups, *held]),
            about=json.dumps(about),
            **options,
        )

    def _banks(self, dataset: Dataset, groups: list[list[int]]) -> tuple[Bank, Bank]:
        train, test = by_class(dataset, self.resize)
        for group in groups:
            for own, need, which in ((train, _PARTS, "training"), (test, 1, "test")):
                poor = [number for number in group if own.counts[number] < need]
                if poor:
                    raise UsageError(
                        f"class {poor[0]} of {dataset.name} has {own.counts[poor[0]]} {which} "
                        f"images and lifetimes need {need}: leave it out of the groups of classes"
                    )
        shift = affine(train, self.invert, self.standardise)
        return Bank(train, *shift), Bank(test, *shift)

    def _width(self, groups: list[list[int]]) -> int:
        if self.labels == "own":
            return max(map(max, groups)) + 1
        return self.ways or max(map(len, groups))


class _LoadedLabelledBatches(LabelledBatches):
    """`LabelledBatches` with its images."""

    lesson: Bank = eqx.field(kw_only=True)
    """What is shown."""
    exam: Bank | None = eqx.field(kw_only=True)
    """What is asked for; None: a part of the lesson that is then not shown."""
    spare: tuple[Bank, Bank] = eqx.field(kw_only=True)
    """Lesson and exam of meta-testing."""
    groups: tuple[tuple[int, ...], ...] = eqx.field(static=True, kw_only=True)
    held_groups: tuple[tuple[int, ...], ...] = eqx.field(static=True, kw_only=True)
    width: int = eqx.field(static=True, kw_only=True)
    about: str = eqx.field(static=True, kw_only=True)
    """What a run record says of the data, as JSON."""

    def __check_init__(self):
        self._check_groups(self.groups, "classes", self.data)
        self._check_groups(self.held_groups, "held-classes", self.test_data or self.data)
        shapes = [bank.images.shape[1:] for bank in (self.lesson, self.spare[0])]
        if shapes[0] != shapes[1]:
            raise UsageError(
                f"--task.test-data {self.test_data} has examples of shape {shapes[1]}, "
                f"{self.data} of {shapes[0]}: pass --task.resize, or data of the same channels"
            )

    def _check_groups(self, groups: tuple[tuple[int, ...], ...], option: str, data: str) -> None:
        for group in groups:
            most = max(group) + 1 if self.labels == "own" else self.ways or len(group)
            if self.ways is not None and self.ways > len(group):
                raise UsageError(
                    f"--task.ways {self.ways}: a group of --task.{option} has {len(group)} "
                    "classes, ask for at most as many"
                )
            if most > self.width:
                raise UsageError(
                    f"{data} has {most} classes for {self.width} outputs: name fewer in "
                    f"--task.{option}, or pass --task.ways {self.width} --task.labels permuted"
                )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.lesson.images.shape[1:]

    @property
    def outputs(self) -> int:
        return self.width

    def load(self) -> "_LoadedLabelledBatches":
        return self

    def record(self) -> dict[str, Any]:
        """What a run record says of the data."""
        return json.loads(self.about)

    def held_out(self) -> "_LoadedLabelledBatches":
        lesson, exam = self.spare
        return dataclasses.replace(self, lesson=lesson, exam=exam, groups=self.held_groups)

    def sample(self, key: Key) -> Episode:
        group_key, label_key, part_key, shown_key, asked_key, order_key = jr.split(key, 6)
        members, size = self._members(group_key)
        label = members
        if self.labels == "permuted":
            label = jr.permutation(label_key, self.outputs)[: len(members)]
        left_out = None if self.exam is not None else jr.randint(part_key, (), 0, _PARTS, jnp.int32)

        def drawn(bank: Bank, number: int, part: _Part, key: Key) -> tuple[jax.Array, jax.Array]:
            """Inputs and targets of so many random images."""
            class_key, image_key = jr.split(key)
            pick = jr.randint(class_key, (number,), 0, size, jnp.int32)
            x = bank.inputs(_places(bank, members[pick], part, key=image_key))
            return x, jax.nn.one_hot(label[pick], self.outputs, dtype=x.dtype)

        count = self.moments * self.batch
        shown = drawn(self.lesson, count, _Part(left_out, False), shown_key)
        asked = drawn(self.exam or self.lesson, self.queries, _Part(left_out, True), asked_key)
        x, y = (own.reshape(self.moments, self.batch, *own.shape[1:]) for own in shown)
        episode = Episode(Stream(x, y, None, None), Query(*asked), self.criterion)
        return permuted(episode, key=order_key) if self.permute else episode

    def _members(self, key: Key) -> tuple[jax.Array, jax.Array]:
        """Numbers of the lifetime's classes, and how many of them count."""
        group_key, class_key = jr.split(key)
        most = max(map(len, self.groups))
        table = jnp.array([own + (0,) * (most - len(own)) for own in self.groups], jnp.int32)
        sizes = jnp.array([len(own) for own in self.groups], jnp.int32)
        group = jr.randint(group_key, (), 0, len(self.groups), jnp.int32)
        members, size = table[group], sizes[group]
        if self.ways is None:
            return members, size
        score = jnp.where(
            jnp.arange(most, dtype=jnp.int32) < size, jr.uniform(class_key, (most,)), -1.0
        )
        return members[jax.lax.top_k(score, self.ways)[1]], jnp.int32(self.ways)


class _Part(NamedTuple):
    """Which images of a class: all, or one part of `_PARTS`, or the others."""

    number: jax.Array | None
    """None: all."""
    inside: bool


def _places(bank: Bank, classes: jax.Array, part: _Part, *, key: Key) -> jax.Array:
    """A random image of each class, by its place in the bank; part k holds every fifth image of a
    class, from its k-th on."""
    count = bank.count[classes]
    if part.number is None:
        return bank.first[classes] + jr.randint(key, classes.shape, 0, count, jnp.int32)
    inside = (count - part.number + _PARTS - 1) // _PARTS
    if part.inside:
        within = jr.randint(key, count.shape, 0, inside, jnp.int32)
        return bank.first[classes] + part.number + _PARTS * within
    among = jr.randint(key, count.shape, 0, count - inside, jnp.int32)
    block, within = among // (_PARTS - 1), among % (_PARTS - 1)
    return bank.first[classes] + block * _PARTS + within + (within >= part.number).astype(jnp.int32)
